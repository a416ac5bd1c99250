/** Who sends: the tenant's settings and the platform's option. */
import { UserError } from "../../shared/errors.ts";
import { type SettingsObject, settingsGroup } from "../pb/settings.ts";
import type { PlatformSender, TenantSender } from "./contract.ts";

const SUBMISSION_PORT = 587;
const SMTPS_PORT = 465;

export function tenantSender(settings: SettingsObject): TenantSender {
  const smtp = settingsGroup(settings, "smtp");
  const meta = settingsGroup(settings, "meta");
  const host = text(smtp["host"]);
  const server =
    smtp["enabled"] === true && host !== ""
      ? {
          host,
          port: Number(smtp["port"] ?? 0) || SUBMISSION_PORT,
          username: text(smtp["username"]),
          password: text(smtp["password"]),
          authMethod: smtp["authMethod"] === "LOGIN" ? ("LOGIN" as const) : ("PLAIN" as const),
          tls: smtp["tls"] === true,
          localName: text(smtp["localName"]),
        }
      : undefined;
  return { server, from: { name: text(meta["senderName"]), address: text(meta["senderAddress"]) } };
}

/**
 * `smtp://user:password@host:port?from=address`, or `smtps://` for TLS from the first byte; user and password percent-encoded.
 * @throws UserError `invalid_option`; the text never holds the password
 */
export function parsePlatformSender(raw: string, option: string): PlatformSender {
  const url = URL.canParse(raw) ? new URL(raw) : undefined;
  const address = url?.searchParams.get("from") ?? "";
  const tls = url?.protocol === "smtps:";
  if (url === undefined || (!tls && url.protocol !== "smtp:") || url.hostname === "" || address === "") {
    throw new UserError("invalid_option", `Cannot read ${option}: not the address of a mail server`, {
      hint: "Write smtp://user:password@host:port?from=address, or smtps:// for TLS.",
    });
  }
  return {
    server: {
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: Number(url.port) || (tls ? SMTPS_PORT : SUBMISSION_PORT),
      username: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      authMethod: url.searchParams.get("auth") === "LOGIN" ? "LOGIN" : "PLAIN",
      tls,
      localName: url.searchParams.get("name") ?? "",
    },
    address,
  };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
