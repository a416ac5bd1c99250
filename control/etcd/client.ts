import type { z } from "zod";
import { SystemError, UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

export interface EtcdClientOptions {
  /** Client addresses, separated by commas. */
  urls: string;
  fetch: typeof fetch;
}

/** Of fetch, when the connection was never made: nothing was done there. */
const NEVER_SENT = new Set(["ConnectionRefused", "ECONNREFUSED", "FailedToOpenSocket"]);

/** The lease that a put names is gone; nothing was done. */
export class LeaseGone extends Error {
  override readonly name = "LeaseGone";
}

/** Calls of etcd's JSON gateway. The server that answered last is asked first. */
export class EtcdClient {
  readonly #urls: readonly string[];
  readonly #fetch: typeof fetch;
  #preferred = 0;

  constructor({ urls, fetch }: EtcdClientOptions) {
    this.#urls = urls.split(",").map((url) => url.trim().replace(/\/$/, ""));
    this.#fetch = fetch;
  }

  /** A call that may be repeated: tries every server. @throws SystemError `control_no_leader` */
  async read<Schema extends z.ZodType>(
    path: string,
    body: unknown,
    schema: Schema,
    signal?: AbortSignal,
  ): Promise<z.output<Schema>> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#call(path, body, schema, signal, limits.etcdReadMs);
      } catch (error) {
        if (error instanceof UserError || error instanceof LeaseGone) throw error;
        if (signal?.aborted === true || attempt > this.#urls.length) throw noAnswer(error);
      }
    }
  }

  /** @throws SystemError `control_no_leader` (certainly not done), `control_state_unknown`; LeaseGone */
  async write<Schema extends z.ZodType>(
    path: string,
    body: unknown,
    schema: Schema,
    signal?: AbortSignal,
  ): Promise<z.output<Schema>> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#call(path, body, schema, signal, limits.controlRequestMs);
      } catch (error) {
        if (!(error instanceof NotSent)) throw asUnknown(error);
        if (attempt >= this.#urls.length) throw noAnswer(error);
      }
    }
  }

  /** A stream of JSON values, one a line. */
  async *stream(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<unknown, void, void> {
    const url = this.#url;
    try {
      const response = await this.#fetch(url + path, {
        method: "POST",
        // A server that has lost the others says so instead of keeping silent.
        headers: { "grpc-metadata-hasleader": "true" },
        body: JSON.stringify(body),
        signal,
      });
      if (!response.ok || response.body === null) throw new Error(`etcd answered ${response.status}`);
      let rest = "";
      for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) if (line !== "") yield JSON.parse(line) as unknown;
      }
    } finally {
      this.#turn(url);
    }
  }

  get #url(): string {
    return this.#urls[this.#preferred] ?? "";
  }

  #turn(from: string): void {
    if (this.#url === from) this.#preferred = (this.#preferred + 1) % this.#urls.length;
  }

  async #call<Schema extends z.ZodType>(
    path: string,
    body: unknown,
    schema: Schema,
    outer: AbortSignal | undefined,
    timeoutMs: number,
  ): Promise<z.output<Schema>> {
    const url = this.#url;
    const timeout = AbortSignal.timeout(timeoutMs);
    let response: Response;
    let text: string;
    try {
      response = await this.#fetch(url + path, {
        method: "POST",
        body: JSON.stringify(body),
        signal: outer === undefined ? timeout : AbortSignal.any([outer, timeout]),
      });
      text = await response.text();
    } catch (cause) {
      this.#turn(url);
      throw NEVER_SENT.has((cause as { code?: string }).code ?? "") ? new NotSent(url, { cause }) : cause;
    }
    if (!response.ok) {
      const error = errorOf(response.status, text);
      if (!(error instanceof UserError) && !(error instanceof LeaseGone)) this.#turn(url);
      throw error;
    }
    return schema.parse(JSON.parse(text));
  }
}

class NotSent extends Error {
  override readonly name = "NotSent";
}

function errorOf(status: number, text: string): Error {
  const message = /"(?:message|error)":\s*"([^"]*)"/.exec(text)?.[1] ?? `HTTP ${status}`;
  if (message.includes("lease not found")) return new LeaseGone(message);
  if (/too many operations|request is too large|larger than max/.test(message)) {
    return new UserError("too_large", `Cannot apply txn: etcd says ${message}`, {
      hint: "Start etcd with --max-txn-ops=512 --max-request-bytes=8388608.",
    });
  }
  if (message.includes("database space exceeded")) {
    return new SystemError("disk_full", "Cannot apply txn: etcd's database is full", {
      hint: "Compact and defragment etcd or raise its --quota-backend-bytes, then disarm the alarm with etcdctl.",
    });
  }
  if (message.includes("too many requests")) {
    return new SystemError("overloaded", "Cannot apply txn: etcd has too many requests", {
      retryAfterMs: 200,
    });
  }
  return new Error(`etcd says ${message}`);
}

function noAnswer(cause: unknown): SystemError {
  if (cause instanceof SystemError) return cause;
  return new SystemError("control_no_leader", "Cannot use etcd: no server with a leader answers", {
    cause,
    hint: "A majority of the etcd members must be up; look at their addresses in --etcd.",
    retryAfterMs: 1_000,
  });
}

function asUnknown(cause: unknown): Error {
  if (cause instanceof SystemError || cause instanceof UserError || cause instanceof LeaseGone) return cause;
  return new SystemError(
    "control_state_unknown",
    "Cannot say whether the txn was applied: etcd did not say",
    {
      cause,
      hint: "Send it again with the same id: it is applied at most once.",
      retryAfterMs: 1_000,
    },
  );
}
