import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { SystemError, UserError, type SystemErrorCode, parseErrorBody } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

/** The operators' API of one platform, and its tenants' hosts beside it. */
export interface Api {
  call<Schema extends z.ZodType>(
    method: "GET" | "POST" | "PATCH" | "DELETE",
    path: string,
    schema: Schema,
    body?: unknown,
  ): Promise<z.infer<Schema>>;
  /** POSTs a stream to a tenant's own host with a ticket. */
  send<Schema extends z.ZodType>(
    slug: string,
    path: string,
    ticket: string,
    body: ReadableStream<Uint8Array>,
    schema: Schema,
  ): Promise<z.infer<Schema>>;
}

/**
 * Where the platform is and who asks: given, or read from the data directory of a local all-in-one.
 *
 * @throws UserError `invalid_option` when neither is there
 */
export function openApi(options: { control?: string; token?: string; data?: string }): Api {
  const data = options.data ?? "./data";
  const admin = new URL(options.control ?? localAdmin(data));
  const token = options.token ?? localToken(data);
  const ask = async (
    host: string,
    path: string,
    init: Omit<RequestInit, "headers">,
    headers: Record<string, string>,
  ) => {
    const url = new URL(path, admin);
    // Not every resolver knows *.localhost, and Host decides anyway.
    url.hostname = host === "localhost" || host.endsWith(".localhost") ? "127.0.0.1" : host;
    const port = admin.port === "" ? "" : `:${admin.port}`;
    let response: Response;
    try {
      response = await fetch(url, { ...init, headers: { ...headers, host: host + port } });
    } catch (cause) {
      throw new SystemError(
        "control_unreachable",
        `Cannot reach ${admin.protocol}//${host}${port}: ${(cause as Error).message}`,
        {
          hint: "Is the platform running? `npm start` runs one on this machine.",
        },
      );
    }
    const text = await response.text();
    if (response.ok) return JSON.parse(text) as unknown;
    const error = parseErrorBody(text);
    throw new SystemError(
      (error?.code ?? "internal") as SystemErrorCode,
      error?.message ?? `Cannot do this: HTTP ${response.status} ${text.slice(0, 200)}`,
      {
        ...(error?.hint === undefined ? {} : { hint: error.hint }),
        ...(error?.details === undefined ? {} : { details: error.details }),
      },
    );
  };
  return {
    async call(method, path, schema, body) {
      const json = body === undefined ? {} : { "content-type": "application/json" };
      const init = {
        method,
        signal: AbortSignal.timeout(limits.commandMs),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      };
      return schema.parse(
        await ask(admin.hostname, path, init, { authorization: `Bearer ${token}`, ...json }),
      );
    },
    async send(slug, path, ticket, body, schema) {
      const init = { method: "POST", body, signal: AbortSignal.timeout(limits.importMs) };
      const headers = { authorization: `Ticket ${ticket}`, "content-type": "application/x-tar" };
      return schema.parse(await ask(admin.hostname.replace(/^admin\./, `${slug}.`), path, init, headers));
    },
  };
}

function localAdmin(data: string): string {
  try {
    return (JSON.parse(readFileSync(join(data, "local.json"), "utf8")) as { admin: string }).admin;
  } catch {
    throw new UserError("invalid_option", `Cannot find the platform: no all-in-one runs on ${data}`, {
      hint: "Start one with `npm start`, or give --control <url> and --token <token>.",
    });
  }
}

function localToken(data: string): string {
  try {
    return readFileSync(join(data, "operator.token"), "utf8").trim();
  } catch (cause) {
    throw new UserError(
      "invalid_option",
      `Cannot read the operator token in ${data}: ${(cause as Error).message}`,
      {
        hint: "Give one with --token or MANYBASE_TOKEN.",
      },
    );
  }
}
