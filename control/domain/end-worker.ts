import { SystemError, UserError } from "../../shared/errors.ts";
import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { sealKey, workerKey } from "./keys.ts";
import type { WorkerRecord, WorkerState } from "./records.ts";
import { type Decision, type View, draft, put } from "./view.ts";
import { mayBecome } from "./worker-states.ts";

/** It takes no new tenants. */
export function drainWorker(view: View, meta: Meta, incarnation: Incarnation): Decision<void> {
  const worker = view.get(workerKey(incarnation));
  if (worker === undefined || !mayBecome(worker, "draining")) return { settled: undefined };
  return transition(view, meta, worker, "draining", {});
}

/** Its lease ran out or its process is gone. Reversible by nobody; what it still writes counts only up to the seal. */
export function declareDead(
  view: View,
  meta: Meta,
  incarnation: Incarnation,
  fact: { why: string; seq?: LogSeq },
): Decision<void> {
  const worker = view.get(workerKey(incarnation));
  if (worker === undefined || !mayBecome(worker, "dead")) return { settled: undefined };
  const known = fact.seq === undefined ? worker : { ...worker, seq: fact.seq };
  return transition(view, meta, known, "dead", { why: fact.why });
}

/** Repeats the store's fact that this log ends at `endSeq`. @throws via reject SystemError `internal` when it was another */
export function recordSeal(view: View, meta: Meta, incarnation: Incarnation, endSeq: LogSeq): Decision<void> {
  const problem = otherEnd(view, incarnation, endSeq);
  if (problem !== undefined) return { reject: problem };
  const worker = view.get(workerKey(incarnation));
  if (worker === undefined || !mayBecome(worker, "sealed")) return { settled: undefined };
  return sealed(view, meta, worker, "sealed", endSeq);
}

/** A worker that sealed its own log and stops. Its tenants are released afterwards; what is not is taken over with a tail. */
export function exitWorker(view: View, meta: Meta, incarnation: Incarnation, endSeq: LogSeq): Decision<void> {
  const worker = view.get(workerKey(incarnation));
  if (worker === undefined) {
    return {
      reject: new UserError("worker_not_found", `Cannot end worker ${incarnation}: it is not known`),
    };
  }
  const problem = otherEnd(view, incarnation, endSeq);
  if (problem !== undefined) return { reject: problem };
  if (worker.state === "dead") return sealed(view, meta, worker, "sealed", endSeq);
  if (!mayBecome(worker, "exited")) return { settled: undefined };
  return sealed(view, meta, worker, "exited", endSeq);
}

function sealed(
  view: View,
  meta: Meta,
  worker: WorkerRecord,
  state: "sealed" | "exited",
  endSeq: LogSeq,
): Decision<void> {
  const key = workerKey(worker.incarnation);
  return {
    draft: draft(
      view,
      [key, sealKey(worker.incarnation)],
      [
        put(sealKey(worker.incarnation), { endSeq }),
        put(key, { ...worker, state, changed: isoTime(meta.atMs) }),
        audit(meta, `worker.${state}`, String(worker.incarnation), { endSeq }),
      ],
    ),
    value: undefined,
  };
}

function otherEnd(view: View, incarnation: Incarnation, endSeq: LogSeq): Error | undefined {
  const seal = view.get(sealKey(incarnation));
  if (seal === undefined || seal.endSeq === endSeq) return undefined;
  return new SystemError(
    "internal",
    `Cannot end the log of incarnation ${incarnation} at ${endSeq}: it is known to end at ${seal.endSeq}`,
    { hint: "The log's objects were changed by hand, or the store has lost some." },
  );
}

function transition(
  view: View,
  meta: Meta,
  worker: WorkerRecord,
  state: WorkerState,
  details: Record<string, unknown>,
): Decision<void> {
  const key = workerKey(worker.incarnation);
  return {
    draft: draft(
      view,
      [key],
      [
        put(key, { ...worker, state, changed: isoTime(meta.atMs) }),
        audit(meta, `worker.${state}`, String(worker.incarnation), details),
      ],
    ),
    value: undefined,
  };
}
