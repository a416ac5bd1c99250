/**
 * Connections to where tenants point: their mail servers and identity providers. A tenant must not reach, through the worker,
 * what only the worker can reach, so addresses are checked after the name was resolved, on the connection itself.
 */
import { lookup } from "node:dns";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { type LookupFunction, isIP } from "node:net";
import { SystemError, UserError } from "../../shared/errors.ts";
import { isPublicAddress } from "./address.ts";

export interface OutboundRequest {
  method?: "GET" | "POST";
  headers?: Readonly<Record<string, string>>;
  body?: string;
  signal: AbortSignal;
  /** A longer answer is an error. */
  bytesMax: number;
  /** How many redirects are followed; only of GET. */
  redirectsMax?: number;
}

export interface OutboundResponse {
  status: number;
  contentType: string;
  body: Uint8Array<ArrayBuffer>;
}

export class Network {
  readonly #allowPrivate: boolean;

  constructor({ allowPrivate = false }: { allowPrivate?: boolean } = {}) {
    this.#allowPrivate = allowPrivate;
  }

  /** An address of the host that may be connected to. @throws UserError `invalid_host`, SystemError for an unknown name */
  resolve(host: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#lookup(host, { all: false }, (error, address) => {
        if (error === null) resolve(typeof address === "string" ? address : host);
        else reject(error instanceof UserError ? error : unreachable(host, error));
      });
    });
  }

  /**
   * @throws UserError `invalid_host` for a URL that may not be reached; SystemError `overloaded` for an answer that is too
   *   long, `internal` for one that does not come
   */
  async request(url: string, options: OutboundRequest): Promise<OutboundResponse> {
    let target = parseUrl(url);
    for (let redirects = 0; ; redirects++) {
      const answer = await this.#send(target, options);
      const { location } = answer.headers;
      const isRedirect = answer.statusCode !== undefined && /^30[12378]$/.test(String(answer.statusCode));
      if (!isRedirect || location === undefined || redirects >= (options.redirectsMax ?? 0)) {
        return await read(answer, target.host, options.bytesMax);
      }
      answer.destroy();
      target = parseUrl(new URL(location, target).href);
    }
  }

  #send(url: URL, { method = "GET", headers = {}, body, signal }: OutboundRequest): Promise<IncomingMessage> {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    // A literal address is never looked up.
    if (isIP(host) !== 0) this.#check(host, host);
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    return new Promise((resolve, reject) => {
      const request = send(
        url,
        { method, headers: { ...headers, ...length }, signal, lookup: this.#lookup },
        resolve,
      );
      request.once("error", (error) =>
        reject(error instanceof UserError ? error : unreachable(url.host, error)),
      );
      request.end(body);
    });
  }

  readonly #lookup: LookupFunction = (host, options, done) => {
    lookup(host, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        done(error, "", 0);
        return;
      }
      try {
        for (const { address } of found) this.#check(host, address);
      } catch (refusal) {
        done(refusal as Error, "", 0);
        return;
      }
      const [first] = found;
      if (options.all === true) done(null, found);
      else done(null, first?.address ?? "", first?.family ?? 0);
    });
  };

  #check(host: string, address: string): void {
    if (this.#allowPrivate || isPublicAddress(address)) return;
    throw new UserError("invalid_host", `Cannot connect to ${host}: it is not on the public internet`, {
      hint: "Whoever runs the platform can allow it by the worker's option --allow-private-network.",
    });
  }
}

function parseUrl(raw: string): URL {
  const url = URL.canParse(raw) ? new URL(raw) : undefined;
  if (url?.protocol === "https:" || url?.protocol === "http:") return url;
  throw new UserError("invalid_host", "Cannot connect: not an http or https address");
}

async function read(answer: IncomingMessage, host: string, bytesMax: number): Promise<OutboundResponse> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of answer) {
      const bytes = chunk as Uint8Array;
      size += bytes.byteLength;
      if (size > bytesMax)
        throw new SystemError("overloaded", `Cannot read from ${host}: the answer is too long`);
      chunks.push(bytes);
    }
  } catch (error) {
    answer.destroy();
    throw error instanceof SystemError ? error : unreachable(host, error);
  }
  return {
    status: answer.statusCode ?? 0,
    contentType: answer.headers["content-type"] ?? "",
    body: new Uint8Array(Buffer.concat(chunks)),
  };
}

function unreachable(host: string, cause: unknown): SystemError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new SystemError("internal", `Cannot connect to ${host}: ${why}`, { cause });
}
