import { SystemError, UserError } from "../../shared/errors.ts";
import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { nonceKey, sealKey, workerKey } from "./keys.ts";
import type { WorkerRecord, WorkerState } from "./records.ts";
import { type Decision, type View, draft, put, remove } from "./view.ts";
import { mayBecome, serves } from "./worker-states.ts";

/** It takes no new tenants, because it says that it stops. */
export function drainWorker(view: View, meta: Meta, incarnation: Incarnation): Decision<void> {
  const worker = view.get(workerKey(incarnation));
  if (worker === undefined || !mayBecome(worker, "draining")) return { settled: undefined };
  return transition(view, meta, worker, "draining", {});
}

/** It takes no new tenants, and control moves those that it has. Rejects with UserError `worker_not_found` or `conflict`. */
export function emptyWorker(view: View, meta: Meta, incarnation: Incarnation): Decision<WorkerRecord> {
  const worker = view.get(workerKey(incarnation));
  if (worker === undefined || worker.removed !== undefined) {
    return { reject: noSuchWorker("drain", incarnation) };
  }
  if (worker.drain !== undefined) return { settled: worker };
  if (!mayBecome(worker, "dead")) {
    return {
      reject: new UserError("conflict", `Cannot drain worker ${incarnation}: it is ${worker.state}`),
    };
  }
  const started = isoTime(meta.atMs);
  const next: WorkerRecord = { ...worker, state: "draining", changed: started, drain: { started } };
  const key = workerKey(incarnation);
  return {
    draft: draft(view, [key], [put(key, next), audit(meta, "worker.drain", String(incarnation))]),
    value: next,
  };
}

/**
 * Forgets a worker that has ended and that owns nothing, at once or, for who asks, when its log has been deleted; `force` gives up one that serves, as if its lease had run out.
 * Rejects with UserError `worker_not_found` or `conflict`. @returns whether it is forgotten, not only given up
 */
export function removeWorker(
  view: View,
  meta: Meta,
  incarnation: Incarnation,
  force: boolean,
): Decision<boolean> {
  const key = workerKey(incarnation);
  const worker = view.get(key);
  if (worker === undefined || worker.removed !== undefined) {
    return { reject: noSuchWorker("remove", incarnation) };
  }
  if (serves(worker) && force) {
    const decision = transition(view, meta, worker, "dead", { why: "removed by an operator" });
    return "draft" in decision ? { ...decision, value: false } : { settled: false };
  }
  const tenants = view.tenantsOf(incarnation).size;
  if ((worker.state !== "sealed" && worker.state !== "exited") || tenants > 0) {
    const state = tenants > 0 ? `it is ${worker.state} with ${tenants} tenants` : `it is ${worker.state}`;
    return {
      reject: new UserError("conflict", `Cannot remove worker ${incarnation}: ${state}`, {
        hint: "Drain it and stop its process first; force gives it up at once and takes its tenants over.",
      }),
    };
  }
  const entry = audit(meta, "worker.remove", String(incarnation));
  const removed = { ...worker, removed: isoTime(meta.atMs) };
  if (view.get(sealKey(incarnation))?.cleared === undefined) {
    return { draft: draft(view, [key], [put(key, removed), entry]), value: true };
  }
  const keys = [key, sealKey(incarnation), nonceKey(worker.nonce)];
  return { draft: draft(view, keys, [...keys.map(remove), entry]), value: true };
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
      reject: noSuchWorker("end", incarnation),
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

function noSuchWorker(verb: string, incarnation: Incarnation): UserError {
  return new UserError("worker_not_found", `Cannot ${verb} worker ${incarnation}: it is not known`);
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
