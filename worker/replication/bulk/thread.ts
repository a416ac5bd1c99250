/** A thread of the pool: one job at a time. Messages are in thread-messages.ts. */
import { parentPort } from "node:worker_threads";
import { SystemError } from "../../../shared/errors.ts";
import { jobs } from "./jobs.ts";
import { type FromThread, type ToThread, packError } from "./thread-messages.ts";
import type { BulkChunks, BulkJobs, BulkKind } from "./work.ts";

const ALIVE_EVERY_MS = 1_000;

const send = (message: FromThread): void => parentPort?.postMessage(message, []);
const waiting = new Map<number, PromiseWithResolvers<Uint8Array | undefined>>();
let current = 0;

function ask(run: number, input: number): Promise<Uint8Array | undefined> {
  const answer = Promise.withResolvers<Uint8Array | undefined>();
  // One that was asked for ahead may fail with nobody looking any more.
  answer.promise.catch(() => {});
  waiting.set(input, answer);
  send({ type: "read", run, input });
  return answer.promise;
}

/** Asks for the next chunk while this one is worked on. */
function chunksAhead(run: number): BulkChunks {
  const ahead = new Map<number, Promise<Uint8Array | undefined>>();
  return {
    async next(input) {
      const bytes = await (ahead.get(input) ?? ask(run, input));
      if (bytes !== undefined) ahead.set(input, ask(run, input));
      return bytes;
    },
  };
}

async function work<Kind extends BulkKind>(
  run: number,
  kind: Kind,
  job: BulkJobs[Kind]["job"],
  cancelled: Int32Array,
): Promise<void> {
  let toldMs = performance.now();
  const look = (): void => {
    if (Atomics.load(cancelled, 0) !== 0) {
      throw new SystemError("internal", "Cannot go on: the job was given up");
    }
    if (performance.now() - toldMs < ALIVE_EVERY_MS) return;
    toldMs = performance.now();
    send({ type: "alive", run });
  };
  try {
    send({ type: "done", run, result: await jobs[kind](job, { chunks: chunksAhead(run), look }) });
  } catch (error) {
    send({ type: "failed", run, error: packError(error) });
  }
}

parentPort?.on("message", (message: ToThread) => {
  if (message.type === "start") {
    waiting.clear();
    current = message.run;
    void work(current, message.kind, message.job as BulkJobs[BulkKind]["job"], message.cancelled);
    return;
  }
  if (message.run !== current) return;
  const answer = waiting.get(message.input);
  waiting.delete(message.input);
  if (message.type === "chunk") answer?.resolve(message.bytes);
  else answer?.reject(new SystemError("store_unavailable", "Cannot go on: a piece of an object is missing"));
});
