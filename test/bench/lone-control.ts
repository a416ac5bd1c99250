import type { Epoch, Incarnation, Slug } from "../../shared/ids.ts";
import type { ControlPort } from "../../worker/tenant/host.ts";

/** Control for a benchmark of one worker: gives it every tenant, all of them new, and is never away. */
export function loneControl(incarnation: Incarnation): ControlPort {
  return {
    assignment: (tenant) =>
      Promise.resolve({
        tenant,
        slug: "bench" as Slug,
        epoch: 1 as Epoch,
        incarnation,
        durability: "durable",
        base: {},
        tails: [],
        virgin: true,
      }),
    report: () => Promise.resolve(),
    mayAnswer: () => true,
  };
}
