import { SystemError, UserError } from "../../shared/errors.ts";
import type { Incarnation } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { RegisterRequest } from "../../shared/protocol/internal.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { BLOCKS, nonceKey, workerKey } from "./keys.ts";
import type { WorkerRecord } from "./records.ts";
import { type Decision, type View, draft, put } from "./view.ts";
import { mayBecome, serves } from "./worker-states.ts";

export interface RegisterWorker {
  meta: Meta;
  request: RegisterRequest;
  /** The block that this leader claimed in the object store; numbers come from no other. */
  block: number;
}

/**
 * The same nonce again is the same registration. `replaces` declares that predecessor dead at once: the process that says so
 * took its place. Rejects with UserError `clock_skewed` or `conflict`, SystemError `control_no_leader` or `overloaded`.
 */
export function registerWorker(view: View, command: RegisterWorker): Decision<Incarnation> {
  const { meta, request, block } = command;
  const skewMs = request.nowMs - meta.atMs;
  if (Math.abs(skewMs) > limits.clockSkewMsMax) {
    return {
      reject: new UserError(
        "clock_skewed",
        `Cannot register worker: its clock is ${Math.round(skewMs)} ms off control's`,
        {
          hint: "Synchronise the clocks of all machines (NTP).",
          details: { skewMs },
        },
      ),
    };
  }
  const before = view.get(nonceKey(request.nonce));
  if (before !== undefined) {
    if (serves(view.get(workerKey(before)))) return { settled: before };
    return {
      reject: new UserError("conflict", `Cannot register worker: incarnation ${before} has ended`, {
        hint: "Register with a new nonce.",
      }),
    };
  }
  const blocks = view.get(BLOCKS);
  if (blocks?.block !== block) {
    return {
      reject: new SystemError("control_no_leader", "Cannot register worker: another replica leads now", {
        retryAfterMs: 1000,
      }),
    };
  }
  if (blocks.used >= limits.incarnationsPerBlock) {
    return {
      reject: new SystemError("overloaded", "Cannot register worker: the block of numbers is used up", {
        retryAfterMs: 1000,
      }),
    };
  }
  const incarnation = (block * limits.incarnationsPerBlock + blocks.used) as Incarnation;
  const at = isoTime(meta.atMs);
  const worker: WorkerRecord = {
    incarnation,
    url: request.url.replace(/\/+$/, ""),
    nonce: request.nonce,
    state: "live",
    ...(request.region === undefined ? {} : { region: request.region }),
    version: request.version,
    registered: at,
    changed: at,
  };
  const gone = request.replaces === undefined ? undefined : view.get(workerKey(request.replaces));
  const replaced = gone !== undefined && mayBecome(gone, "dead") ? gone : undefined;
  return {
    draft: draft(
      view,
      [
        BLOCKS,
        nonceKey(request.nonce),
        workerKey(incarnation),
        ...(replaced === undefined ? [] : [workerKey(replaced.incarnation)]),
      ],
      [
        put(BLOCKS, { block, used: blocks.used + 1 }),
        put(nonceKey(request.nonce), incarnation),
        put(workerKey(incarnation), worker),
        ...(replaced === undefined
          ? []
          : [put(workerKey(replaced.incarnation), { ...replaced, state: "dead", changed: at })]),
        audit(meta, "worker.register", String(incarnation), {
          url: worker.url,
          version: worker.version,
          ...(replaced === undefined ? {} : { replaces: replaced.incarnation }),
        }),
      ],
    ),
    value: incarnation,
  };
}
