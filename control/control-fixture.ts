/** For tests: a control replica on a real single-member store, a real file store and a real listener, and workers to play with. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { Incarnation } from "../shared/ids.ts";
import { sealLog } from "../shared/log/seal.ts";
import type { ObjectStore } from "../shared/objects/contract.ts";
import {
  type RegisterRequest,
  type RegisterResponse,
  beatResponseSchema,
  registerResponseSchema,
} from "../shared/protocol/internal.ts";
import { InternalClient } from "../shared/protocol/internal-client.ts";
import { parseKeyring } from "../shared/protocol/keys.ts";
import { base64Url } from "../shared/protocol/mac.ts";
import { admitOperator } from "./admit-operator.ts";
import { controlApp } from "./api/app.ts";
import { systemClock } from "./clock.ts";
import { listen } from "./listen.ts";
import { openObjectStore } from "./objects.ts";
import { openRaftStore } from "./raft/open.ts";
import { type Control, type ControlParts, openControl } from "./service.ts";
import type { ReplicatedStore } from "./store/contract.ts";

export const randomBytes = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));
const keyring = (id: string) => parseKeyring(`${id}:${base64Url(randomBytes(32))}`, "test key");

export interface TestControl {
  directory: string;
  url: string;
  token: string;
  control: Control;
  store: ReplicatedStore;
  objects: ObjectStore;
  member: InternalClient;
  gateway: InternalClient;
  /** A call of the operators' API. */
  cp(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<{ status: number; body: Record<string, unknown> }>;
  /** Stops the replica and keeps its directory. */
  stop(): Promise<void>;
  /** Stops and removes everything. */
  remove(): Promise<void>;
}

const KEYS = { memberKeys: keyring("member-1"), gatewayKeys: keyring("gateway-1") };

export interface TestControlOptions {
  /** Of an earlier one: workers find this one there. */
  port?: number;
  /** Between control and its store: for faults. */
  wrapStore?: (store: ReplicatedStore) => ReplicatedStore;
  wrapObjects?: (objects: ObjectStore) => ObjectStore;
  /** Instead of raft in the directory. */
  openStore?: () => Promise<ReplicatedStore>;
}

/** Starts on `directory`, or on a new one. */
export async function startTestControl(
  directory?: string,
  change: Partial<ControlParts> = {},
  {
    port = 0,
    wrapStore = (store) => store,
    wrapObjects = (objects) => objects,
    openStore,
  }: TestControlOptions = {},
): Promise<TestControl> {
  const at = directory ?? (await mkdtemp(join(tmpdir(), "manybase-control-")));
  const objects = await openObjectStore(`file:${join(at, "store")}`, {});
  const store = await (openStore?.() ?? openRaftStore({ directory: join(at, "control") }));
  const control = await openControl({
    store: wrapStore(store),
    objects: wrapObjects(objects),
    ...KEYS,
    domain: "localhost",
    sealLog,
    clock: systemClock,
    randomBytes,
    fetch: globalThis.fetch,
    resolveTxt: () => Promise.resolve([]),
    log: pino({ level: process.env["MANYBASE_TEST_LOG"] ?? "silent" }),
    ...change,
  });
  const app = controlApp(control);
  const server = listen({ hostname: "127.0.0.1", port }, (request) => app.fetch(request));
  const url = `http://127.0.0.1:${server.port}`;
  await control.leadership.settled(AbortSignal.timeout(5_000));
  const token = `mbo_${"t".repeat(40)}`;
  if (control.leadership.current !== undefined) await admitOperator(control, { token });
  const stop = async (): Promise<void> => {
    await control.close();
    await server.stop(true);
    await store.close();
    await objects.close();
  };
  return {
    directory: at,
    url,
    token,
    control,
    store,
    objects,
    member: new InternalClient({ url, keys: control.memberKeys, timeoutMs: 15_000 }),
    gateway: new InternalClient({ url, keys: control.gatewayKeys, timeoutMs: 15_000 }),
    async cp(method, path, body, headers = {}) {
      const response = await fetch(`${url}/api/cp${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
    stop,
    async remove() {
      await stop();
      await rm(at, { recursive: true, force: true });
    },
  };
}

export interface TestWorker {
  incarnation: Incarnation;
  nonce: string;
  url: string;
  /** What it was asked below `/_manybase/`. */
  calls: Request[];
  /** Answers those; 404 by default. */
  answer: (request: Request) => Response | Promise<Response>;
  beat(draining?: boolean): Promise<string>;
  /** As kill -9: no more beats, nothing listens. */
  kill(): Promise<void>;
  /** No more beats, but its address answers. */
  isolate(): void;
  /** Nothing listens any more, but it beats. */
  refuse(): Promise<void>;
  /** Its health never answers. */
  hang(): void;
}

/** Registers a worker that beats and answers its health like a real one. */
export async function startTestWorker(
  { member }: TestControl,
  request: Partial<RegisterRequest> = {},
): Promise<TestWorker> {
  const nonce = [...randomBytes(16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const calls: Request[] = [];
  let hanging = false;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (call): Promise<Response> => {
      if (hanging) await new Promise(() => undefined);
      if (call.url.endsWith("/v1/health")) {
        return Response.json({ ok: true, incarnation: worker.incarnation });
      }
      calls.push(call.clone());
      return await worker.answer(call);
    },
  });
  const url = `http://127.0.0.1:${server.port}`;
  const registered: RegisterResponse = await member.call("POST", "/v1/workers", registerResponseSchema, {
    url,
    nonce,
    version: "0.1.0",
    nowMs: Date.now(),
    ...request,
  });
  const { incarnation } = registered;
  const beat = async (draining = false): Promise<string> => {
    const answer = await member.call("POST", `/v1/workers/${incarnation}/beats`, beatResponseSchema, {
      seq: 0,
      tenants: 0,
      rssBytes: 1,
      draining,
    });
    return answer.state;
  };
  await beat();
  const timer = setInterval(() => void beat().catch(() => undefined), registered.beatMs);
  const worker: TestWorker = {
    incarnation,
    nonce,
    url,
    calls,
    answer: () => new Response(null, { status: 404 }),
    beat,
    async kill() {
      clearInterval(timer);
      await server.stop(true);
    },
    isolate: () => clearInterval(timer),
    refuse: () => server.stop(true),
    hang: () => {
      hanging = true;
    },
  };
  return worker;
}
