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
  /** GETs a stream from a tenant's own host with a ticket. */
  receive(slug: string, path: string, ticket: string): Promise<Response>;
  /** Where a tenant's clients go; undefined where control is asked at an address of its own. */
  tenantUrl(slug: string): string | undefined;
  /** Whether a tenant's host has this page. */
  hasPage(slug: string, path: string): Promise<boolean>;
}

/**
 * Where the platform is and who asks: given, or read from the data directory of a local all-in-one.
 *
 * @throws UserError `invalid_option` when neither is there
 */
export function openApi(options: { control?: string; token?: string; data?: string }): Api {
  const data = options.data ?? "./data";
  const replicas = (options.control ?? localAdmin(data)).split(",").map((url) => new URL(url.trim()));
  let admin = replicas[0] as URL;
  const token = options.token ?? localToken(data);
  const tenantHost = (slug: string): string => admin.hostname.replace(/^admin\./, `${slug}.`);
  const askOne = async (
    host: string,
    path: string,
    init: Omit<RequestInit, "headers">,
    headers: Record<string, string>,
  ): Promise<Response> => {
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
          cause,
          hint: "Is the platform running? `npm start` runs one on this machine.",
        },
      );
    }
    if (response.ok) return response;
    const text = await response.text();
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
  /** The next replica only when this one certainly did nothing. */
  const ask = async (path: string, init: Omit<RequestInit, "headers">, headers: Record<string, string>) => {
    for (const [i, replica] of replicas.entries()) {
      admin = replica;
      try {
        return await askOne(admin.hostname, path, init, headers);
      } catch (error) {
        const last = i === replicas.length - 1;
        if (last || !(error instanceof SystemError) || !didNothing(error, init.method)) throw error;
      }
    }
    throw new SystemError("internal", "Cannot ask control: no address was given");
  };
  return {
    async call(method, path, schema, body) {
      const json = body === undefined ? {} : { "content-type": "application/json" };
      const init = {
        method,
        signal: AbortSignal.timeout(limits.commandMs),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      };
      const response = await ask(path, init, { authorization: `Bearer ${token}`, ...json });
      return schema.parse(await response.json());
    },
    async send(slug, path, ticket, body, schema) {
      const init = { method: "POST", body, signal: AbortSignal.timeout(limits.importMs) };
      const headers = { authorization: `Ticket ${ticket}`, "content-type": "application/x-tar" };
      const response = await askOne(tenantHost(slug), path, init, headers);
      return schema.parse(await response.json());
    },
    receive(slug, path, ticket) {
      const init = { method: "GET", signal: AbortSignal.timeout(limits.exportMs) };
      return askOne(tenantHost(slug), path, init, { authorization: `Ticket ${ticket}` });
    },
    hasPage(slug, path) {
      const init = { method: "GET", signal: AbortSignal.timeout(limits.commandMs) };
      return askOne(tenantHost(slug), path, init, {}).then(
        () => true,
        () => false,
      );
    },
    tenantUrl(slug) {
      if (!admin.hostname.startsWith("admin.")) return undefined;
      const url = new URL(admin);
      url.hostname = tenantHost(slug);
      return url.origin;
    },
  };
}

/** A connection that was refused, or a replica that says that it cannot; a read may be asked anywhere. */
function didNothing({ code, cause }: SystemError, method: string | undefined): boolean {
  if (code === "control_no_leader") return true;
  if (method === "GET") return code.startsWith("control_");
  if (code !== "control_unreachable") return false;
  const why = (cause as { code?: unknown } | undefined)?.code;
  return why === "ConnectionRefused" || why === "ECONNREFUSED" || why === "ENOTFOUND";
}

/** For commands that may need no platform at all: it is looked for at the first call. */
export function openLater(open: () => Api): Api {
  let opened: Api | undefined;
  const api = (): Api => (opened ??= open());
  return {
    call: (...words) => api().call(...words),
    send: (...words) => api().send(...words),
    receive: (...words) => api().receive(...words),
    hasPage: (...words) => api().hasPage(...words),
    tenantUrl: (...words) => api().tenantUrl(...words),
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
