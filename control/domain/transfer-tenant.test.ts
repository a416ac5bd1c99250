import { describe, expect, test } from "bun:test";
import type { Positions } from "../../shared/protocol/internal.ts";
import { beginPurge, deleteTenant, finishPurge, recoverTenant } from "./delete-tenant.ts";
import { Domain, NOW_MS, refusal, seq, slug } from "./domain-fixture.ts";
import { assignmentOf } from "./assignment.ts";
import { updateTenant } from "./update-tenant.ts";
import { drainWorker, emptyWorker, exitWorker, removeWorker } from "./end-worker.ts";
import { sealKey, slugKey, tenantKey, workerKey } from "./keys.ts";
import { type Loads, fullness, leastLoaded } from "./place.ts";
import { releaseTenants } from "./report-tenants.ts";
import { routeOf } from "./route.ts";
import { resumeTenant, suspendTenant } from "./suspend-tenant.ts";
import { beginTransfer, finishTransfer, giveBack, leaveSealedOwner } from "./transfer-tenant.ts";

const BASE: Positions = { "data.db": { txid: 3 as never, entryHash: "h" } };

/** A tenant on the first of two workers. */
function owned() {
  const domain = new Domain();
  const id = domain.create("acme");
  const source = domain.register("1");
  domain.assign(id);
  const target = domain.register("2");
  const begin = (to?: typeof target): string => {
    const command = { meta: domain.meta(), id, why: "move" as const, ...(to === undefined ? {} : { to }) };
    return domain.run(beginTransfer(domain.table, command)).transfer?.id ?? "";
  };
  return { domain, id, source, target, begin };
}

describe("a transfer", () => {
  test("compares the tenant and both workers, when it begins and when it ends", () => {
    const { domain, id, source, target, begin } = owned();
    const expected = [tenantKey(id), workerKey(source), workerKey(target)].toSorted() as string[];
    const keys = (decision: unknown): string[] =>
      (decision as { draft: { cmp: { key: string }[] } }).draft.cmp.map(({ key }) => key).toSorted();
    const command = { meta: domain.meta(), id, to: target, why: "move" as const };
    expect(keys(beginTransfer(domain.table, command))).toEqual(expected);
    const transferId = begin(target);
    expect(keys(finishTransfer(domain.table, domain.meta(), id, transferId, BASE))).toEqual(expected);
  });

  test("that ended does nothing when it is ended again, whoever hears late", () => {
    const { domain, id, target, begin } = owned();
    const transferId = begin(target);
    domain.run(giveBack(domain.table, domain.meta(), id, transferId, "test"));
    expect(domain.tenant(id)).toMatchObject({ epoch: 2, base: {} });
    const late = finishTransfer(domain.table, domain.meta(), id, transferId, BASE);
    expect(late).toMatchObject({ settled: { epoch: 2 } });
    expect(giveBack(domain.table, domain.meta(), id, transferId, "test")).toEqual({ settled: false });
    expect(leaveSealedOwner(domain.table, domain.meta(), id, transferId)).toEqual({ settled: false });
  });

  test("that ended does nothing to the one that began after it", () => {
    const { domain, id, source, target, begin } = owned();
    const first = begin(target);
    domain.run(giveBack(domain.table, domain.meta(), id, first, "test"));
    const second = begin(target);
    const before = domain.tenant(id);
    for (const late of [
      finishTransfer(domain.table, domain.meta(), id, first, BASE),
      giveBack(domain.table, domain.meta(), id, first, "test"),
      leaveSealedOwner(domain.table, domain.meta(), id, first),
    ]) {
      expect(late).toHaveProperty("settled");
    }
    expect(domain.tenant(id)).toEqual(before);
    expect(before).toMatchObject({ owner: { incarnation: source }, transfer: { id: second } });
  });

  test("of a tenant that was closed on its way ends with nobody", () => {
    const { domain, id, target, begin } = owned();
    const transferId = begin(target);
    domain.run(suspendTenant(domain.table, domain.meta(), id));
    domain.run(finishTransfer(domain.table, domain.meta(), id, transferId, BASE));
    expect(domain.tenant(id)).toMatchObject({ state: "evicted", suspended: true, epoch: 1, base: BASE });
    expect(domain.tenant(id).owner).toBeUndefined();
  });

  test("to a target that died goes back; from a source that drains to nobody", () => {
    const { domain, id, source, target, begin } = owned();
    const transferId = begin(target);
    domain.die(target);
    domain.run(drainWorker(domain.table, domain.meta(), source));
    domain.run(finishTransfer(domain.table, domain.meta(), id, transferId, BASE));
    expect(domain.tenant(id)).toMatchObject({ state: "evicted", epoch: 1, base: BASE });
    expect(domain.tenant(id).owner).toBeUndefined();
  });

  test("is over when the source exits cleanly or is taken over from", () => {
    const exited = owned();
    exited.begin(exited.target);
    const { domain, id, source } = exited;
    domain.run(exitWorker(domain.table, domain.meta(), source, seq(4)));
    const released = [{ tenant: id, epoch: domain.tenant(id).epoch, base: BASE }];
    domain.run(releaseTenants(domain.table, domain.meta(), source, released));
    expect(domain.tenant(id).transfer).toBeUndefined();
    const died = owned();
    died.begin(died.target);
    died.domain.die(died.source);
    died.domain.seal(died.source, 9);
    expect(died.domain.assign(died.id)).toMatchObject({ epoch: 2, tails: [{ endSeq: 9 }] });
    expect(died.domain.tenant(died.id).transfer).toBeUndefined();
  });
});

describe("closed tenants", () => {
  test("have no worker in their route at once, are assigned to nobody, and open again", () => {
    const { domain, id } = owned();
    domain.run(suspendTenant(domain.table, domain.meta(), id));
    expect(routeOf(domain.table, domain.tenant(id))).not.toHaveProperty("worker");
    const { id: transferId = "" } = domain.tenant(id).transfer ?? {};
    expect(giveBack(domain.table, domain.meta(), id, transferId, "test")).toEqual({ settled: false });
    domain.run(finishTransfer(domain.table, domain.meta(), id, transferId, BASE));
    expect(() => domain.assign(id)).toThrow("nobody is to serve it");
    domain.run(resumeTenant(domain.table, domain.meta(), id));
    expect(domain.assign(id).epoch as number).toBe(2);
  });

  test("suspended and deleted: recovered it is still suspended", () => {
    const { domain, id } = owned();
    domain.run(suspendTenant(domain.table, domain.meta(), id));
    domain.run(deleteTenant(domain.table, domain.meta(), id, 1_000));
    expect(refusal(suspendTenant(domain.table, domain.meta(), id))).toBe("none");
    expect(refusal(updateTenant(domain.table, { meta: domain.meta(), id, slug: slug("new") }))).toBe(
      "conflict",
    );
    domain.run(recoverTenant(domain.table, domain.meta(), id));
    expect(domain.tenant(id)).toMatchObject({ state: "active", suspended: true });
    expect(refusal(recoverTenant(domain.table, domain.meta(), id))).toBe("conflict");
  });
});

describe("purging", () => {
  test("begins when the retention is over and nobody holds the tenant, and ends only what it began", () => {
    const { domain, id } = owned();
    const begin = (laterMs = 0) => {
      const meta = { ...domain.meta(), atMs: NOW_MS + laterMs };
      return beginPurge(domain.table, meta, id);
    };
    const finish = () => finishPurge(domain.table, domain.meta(), id);
    expect(begin(5_000)).toEqual({ settled: false });
    domain.run(deleteTenant(domain.table, domain.meta(), id, 1_000));
    expect(begin(5_000)).toEqual({ settled: false });
    const transferId = domain.tenant(id).transfer?.id ?? "";
    domain.run(finishTransfer(domain.table, domain.meta(), id, transferId, BASE));
    expect(begin(999)).toEqual({ settled: false });
    expect(finish()).toEqual({ settled: false });
    expect(domain.run(begin(1_000))).toBe(true);
    expect(begin(1_000)).toEqual({ settled: true });
    expect(refusal(recoverTenant(domain.table, domain.meta(), id))).toBe("conflict");
    expect(domain.run(finish())).toBe(true);
    expect(domain.table.get(tenantKey(id))).toBeUndefined();
    expect(domain.table.get(slugKey(slug("acme")))).toBeUndefined();
    expect([...domain.table.deleted()]).toEqual([]);
  });
});

describe("updateTenant", () => {
  test("renames by both slug keys in one transaction and loads it anew where it is", () => {
    const { domain, id, source } = owned();
    domain.create("other");
    const rename = (name: string) =>
      updateTenant(domain.table, { meta: domain.meta(), id, slug: slug(name) });
    expect(refusal(rename("other"))).toBe("slug_taken");
    domain.run(rename("beta"));
    expect(domain.table.get(slugKey(slug("acme")))).toBeUndefined();
    expect(domain.table.get(slugKey(slug("beta")))).toBe(id);
    const { transfer } = domain.tenant(id);
    expect(transfer).toMatchObject({ to: source, why: "update" });
    domain.run(finishTransfer(domain.table, domain.meta(), id, transfer?.id ?? "", BASE));
    expect(domain.tenant(id)).toMatchObject({ owner: { incarnation: source }, epoch: 2 });
    expect(rename("beta")).toHaveProperty("settled");
  });

  test("a storage quota reaches the worker by a new load, and goes again", () => {
    const { domain, id, source } = owned();
    const update = (storageBytesMax: number | null) =>
      updateTenant(domain.table, { meta: domain.meta(), id, storageBytesMax });
    domain.run(update(5_000));
    const { transfer, storageBytesMax } = domain.tenant(id);
    expect(storageBytesMax).toBe(5_000);
    expect(transfer).toMatchObject({ to: source, why: "update" });
    domain.run(finishTransfer(domain.table, domain.meta(), id, transfer?.id ?? "", BASE));
    expect(assignmentOf(domain.tenant(id), source).storageBytesMax).toBe(5_000);
    expect(update(5_000)).toHaveProperty("settled");
    domain.run(update(null));
    expect(domain.tenant(id)).not.toHaveProperty("storageBytesMax");
  });
});

describe("workers", () => {
  test("are removed when they have ended and nobody names them; by force they are given up", () => {
    const { domain, source, target, id } = owned();
    const remove = (incarnation: typeof source, force = false) =>
      removeWorker(domain.table, domain.meta(), incarnation, force);
    expect(refusal(remove(source))).toBe("conflict");
    expect(domain.run(remove(source, true))).toBe(false);
    domain.seal(source, 5);
    expect(refusal(remove(source))).toBe("conflict");
    domain.assign(id);
    expect(domain.run(remove(source))).toBe(true);
    expect(refusal(remove(source))).toBe("worker_not_found");
    expect(refusal(emptyWorker(domain.table, domain.meta(), source))).toBe("worker_not_found");
    // By this the sweep of dead logs finds its log.
    expect(domain.table.get(sealKey(source))).toEqual({ endSeq: 5 as never });
    domain.die(target);
    expect(refusal(emptyWorker(domain.table, domain.meta(), target))).toBe("conflict");
  });
});

describe("leastLoaded", () => {
  const GIB = 1024 ** 3;
  const load = (rssGib: number) => ({ tenants: 0, rssBytes: rssGib * GIB, memoryBytes: 4 * GIB });

  test("counts tenants while memory is plenty, then memory; takes no full or draining worker", () => {
    const { domain, source, target } = owned();
    const pick = (a: number, b: number) =>
      leastLoaded(domain.table, (one) => load(one === source ? a : b))?.incarnation;
    expect(pick(0.1, 1.9)).toBe(target);
    expect(pick(0.1, 3)).toBe(source);
    expect(pick(3.7, 3.9)).toBeUndefined();
    expect(leastLoaded(domain.table, undefined, { except: target })?.incarnation).toBe(source);
    domain.run(drainWorker(domain.table, domain.meta(), target));
    expect(pick(3, 0)).toBe(source);
    const worker = domain.table.get(workerKey(source));
    expect(worker && fullness(domain.table, worker, load(4))).toBeGreaterThan(0.5);
  });

  test("prefers the wanted region as long as a worker there has room", () => {
    const domain = new Domain();
    const [near, far] = [domain.register("1", { region: "eu" }), domain.register("2", { region: "us" })];
    const pick = (region: string | undefined, loads?: Loads) =>
      leastLoaded(domain.table, loads, { region })?.incarnation;
    const id = domain.create("a");
    domain.run(updateTenant(domain.table, { meta: domain.meta(), id, region: "us" }));
    expect(domain.assign(id).owner?.incarnation).toBe(far);
    expect(pick("us")).toBe(far);
    expect(pick("eu")).toBe(near);
    expect(pick("asia")).toBe(near);
    expect(pick(undefined)).toBe(near);
    expect(pick("us", (one) => load(one === far ? 3.9 : 0.1))).toBe(near);
    domain.run(updateTenant(domain.table, { meta: domain.meta(), id, region: null }));
    expect(domain.tenant(id)).not.toHaveProperty("region");
  });
});
