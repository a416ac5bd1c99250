/** Tables of requests against the whole API of one tenant: what is asked, and what PocketBase answers. */
import { expect, test } from "bun:test";
import { SUPERUSER, type TestApi, startTestApi } from "../../worker/app-testing.ts";

export interface Case {
  /** `METHOD /path`. */
  ask: string;
  /** Whose token: a name that `ApiUnderTest.signIn` knows; nobody's when absent. */
  as?: string;
  json?: unknown;
  form?: readonly (readonly [string, string | File])[];
  /** A body as it stands, with its content type. */
  raw?: { type?: string; body: string };
  headers?: Readonly<Record<string, string>>;
  status: number;
  /** The exact text of the body, or what its JSON must contain, or a pattern of its text. */
  body?: string | RegExp | Readonly<Record<string, unknown>> | readonly unknown[];
  /** Headers of the answer; null for one that must be absent. */
  answers?: Readonly<Record<string, string | null>>;
}

/** An error as it stands in an answer. */
export function failure(status: number, message: string, data: unknown = {}): string {
  return `${JSON.stringify({ data, message, status })}\n`;
}

export const NOT_FOUND = failure(404, "The requested resource wasn't found.");
export const GENERIC = failure(400, "Something went wrong while processing your request.");
export const LOCKED = failure(403, "Only superusers can perform this action.");
export const NOBODY = failure(401, "The request requires valid record authorization token.");
export const NOT_ALLOWED = failure(403, "The authorized record is not allowed to perform this action.");

export class ApiUnderTest {
  readonly api: TestApi;
  readonly #tokens = new Map<string, string>();

  private constructor(api: TestApi) {
    this.api = api;
  }

  /** With the superuser signed in as `root`. */
  static async start(): Promise<ApiUnderTest> {
    const started = new ApiUnderTest(await startTestApi("async"));
    await started.signIn("root", "_superusers", SUPERUSER.email, SUPERUSER.password);
    return started;
  }

  async signIn(name: string, collection: string, identity: string, password: string): Promise<void> {
    const response = await this.send({
      ask: `POST /api/collections/${collection}/auth-with-password`,
      json: { identity, password },
      status: 200,
    });
    const { token } = (await response.json()) as { token: string };
    this.#tokens.set(name, token);
  }

  token(name: string): string {
    const token = this.#tokens.get(name);
    if (token === undefined) throw new Error(`Cannot ask as ${name}: not signed in`);
    return token;
  }

  /** The JSON of a request that must succeed. */
  async made<T = Record<string, unknown>>(ask: string, json?: unknown, as = "root"): Promise<T> {
    const response = await this.send({ ask, json, as, status: 200 });
    const text = await response.text();
    if (!response.ok) throw new Error(`${ask}: ${response.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  send({ ask, as, json, form, raw, headers }: Case): Promise<Response> {
    const [method = "GET", path = "/"] = ask.split(/ (.*)/s);
    const sent = new Headers(headers);
    if (as !== undefined) sent.set("authorization", this.token(as));
    let body: BodyInit | undefined;
    if (form !== undefined) {
      const data = new FormData();
      for (const [name, value] of form) data.append(name, value);
      body = data;
    } else if (raw !== undefined) {
      ({ body } = raw);
      if (raw.type !== undefined) sent.set("content-type", raw.type);
    } else if (json !== undefined) {
      body = JSON.stringify(json);
      sent.set("content-type", "application/json");
    }
    return fetch(`${this.api.url}${path}`, {
      method,
      headers: sent,
      redirect: "manual",
      signal: AbortSignal.timeout(5_000),
      ...(body === undefined ? {} : { body }),
    });
  }

  async check(asked: Case): Promise<void> {
    const response = await this.send(asked);
    const text = await response.text();
    const told = { status: response.status, text };
    expect(told).toMatchObject({ status: asked.status });
    const { body } = asked;
    if (typeof body === "string") expect(text).toBe(body);
    else if (body instanceof RegExp) expect(text).toMatch(body);
    else if (body !== undefined) expect(JSON.parse(text)).toMatchObject(body);
    for (const [name, value] of Object.entries(asked.answers ?? {})) {
      expect([name, response.headers.get(name)]).toEqual([name, value]);
    }
  }

  close(): Promise<void> {
    return this.api.close();
  }
}

/** One test for each case, in order: later ones see what earlier ones did. */
export function table(of: () => ApiUnderTest, cases: readonly Case[]): void {
  for (const [index, asked] of cases.entries()) {
    const details = JSON.stringify(asked.json ?? asked.raw ?? "").slice(0, 80);
    test(`${index + 1}. ${asked.ask.slice(0, 120)} ${asked.as ?? ""} ${details}`, () => of().check(asked));
  }
}
