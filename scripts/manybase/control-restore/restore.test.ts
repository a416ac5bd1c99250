import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import {
  type TestControl,
  type TestWorker,
  startTestControl,
  startTestWorker,
} from "../../../control/control-fixture.ts";
import { encodeSnapshot } from "../../../control/disaster/snapshot.ts";
import { SnapshotWriter } from "../../../control/disaster/snapshot-writer.ts";
import { deleteTenant } from "../../../control/domain/delete-tenant.ts";
import { metadataRowKey, tenantKey } from "../../../control/domain/keys.ts";
import type { TenantRecord } from "../../../control/domain/records.ts";
import { draft, put } from "../../../control/domain/view.ts";
import { openObjectStore } from "../../../control/objects.ts";
import { DATA_DB, type Epoch, type LogSeq, type TenantId } from "../../../shared/ids.ts";
import { sealLog } from "../../../shared/log/seal.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import {
  controlSnapshotKey,
  controlSnapshotsPrefix,
  logKey,
  ltxPrefix,
  metadataKey,
  metadataPrefix,
  retiredKey,
} from "../../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../../shared/objects/read.ts";
import { assignmentSchema, routeSchema } from "../../../shared/protocol/internal.ts";
import { type TenantHost, createTenantHost } from "../../../worker/tenant/host.ts";
import { newNonce, notes, putNote } from "../../../worker/tenant/test-world.ts";
import { restoreControl } from "./restore.ts";
import { intoDirectory } from "./restore-target.ts";

let running: TestControl;
const hosts: TenantHost[] = [];
const workers: TestWorker[] = [];
const directories: string[] = [];
beforeEach(async () => {
  running = await startTestControl();
});
afterEach(async () => {
  for (const host of hosts.splice(0)) host.abandon();
  for (const worker of workers.splice(0)) await worker.kill();
  await running.remove();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** A worker double for control, with a real tenant host and log behind it. */
async function startHost(): Promise<TenantHost & { worker: TestWorker }> {
  const worker = await startTestWorker(running);
  const directory = mkdtempSync(join(tmpdir(), "restore-host-"));
  directories.push(directory);
  const store = await openObjectStore(`file:${join(running.directory, "store")}`, {});
  const { member } = running;
  const host = createTenantHost({
    directory,
    store,
    incarnation: worker.incarnation,
    nonce: worker.nonce,
    control: {
      assignment: (tenant) =>
        member.call("GET", `/v1/workers/${worker.incarnation}/assignments/${tenant}`, assignmentSchema),
      report: async (reports) => {
        await member.call("POST", `/v1/workers/${worker.incarnation}/reports`, z.object({}), { reports });
      },
      mayAnswer: () => true,
    },
    bootstrap: () => Promise.resolve(),
    onError: () => undefined,
  });
  hosts.push(host);
  workers.push(worker);
  return Object.assign(host, { worker });
}

async function create(slug: string): Promise<TenantId> {
  await running.cp("POST", "/tenants", { slug });
  const { tenant } = await route(slug);
  return tenant;
}

const route = (slug: string) => running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug });

async function at(host: TenantHost, slug: string) {
  const { tenant, epoch } = await route(slug);
  return await host.acquire(tenant, epoch as Epoch);
}

/** Until the store holds what is to survive of it. */
async function recorded(id: TenantId): Promise<void> {
  const before = running.control.table.get(metadataRowKey(id))?.digest;
  for (let i = 0; i < 500 && running.control.table.get(metadataRowKey(id)) === undefined; i++)
    await Bun.sleep(10);
  if (before === undefined) expect(running.control.table.get(metadataRowKey(id))).toBeDefined();
}

const snapshot = () => new SnapshotWriter(running.control).write(new AbortController().signal);

async function restore(from?: string) {
  const store = await openObjectStore(`file:${join(running.directory, "store")}`, {});
  try {
    return await restoreControl({
      store,
      target: intoDirectory(running.directory, "1"),
      signal: new AbortController().signal,
      nowMs: Date.now(),
      ...(from === undefined ? {} : { from }),
    });
  } finally {
    await store.close();
  }
}

/** Control's machine is gone, and what `build` makes of the object store starts in its place. */
async function loseControl(): Promise<void> {
  for (const worker of workers) worker.isolate();
  await running.stop();
  renameSync(join(running.directory, "control"), join(running.directory, "lost"));
}

async function startAgain(): Promise<void> {
  running = await startTestControl(running.directory);
}

const withStore = async <T>(work: (store: ObjectStore) => Promise<T>): Promise<T> => {
  const store = await openObjectStore(`file:${join(running.directory, "store")}`, {});
  try {
    return await work(store);
  } finally {
    await store.close();
  }
};

describe("restoreControl", () => {
  test.each(["with", "without"])(
    "%s a snapshot: every acknowledged write is there, and a worker that still writes stops",
    async (how) => {
      const host = await startHost();
      const id = await create("acme");
      const old = await at(host, "acme");
      await putNote(old, "first");
      await recorded(id);
      if (how === "with") await snapshot();
      const later = await create("later");
      await putNote(await at(host, "later"), "after the snapshot");
      await recorded(later);
      await loseControl();

      const acknowledged: string[] = ["first"];
      let stopped = false;
      const load = (async () => {
        for (let i = 0; !stopped; i++) {
          await putNote(old, `load ${i}`);
          acknowledged.push(`load ${i}`);
        }
      })().catch(() => undefined);
      await Bun.sleep(50);
      const report = await restore(how === "with" ? undefined : "none");
      expect(report).toMatchObject({ tenants: 2, orphans: [], renamed: [] });
      expect(report.snapshot === undefined).toBe(how === "without");
      await Promise.race([load, Bun.sleep(5_000)]);
      stopped = true;
      expect(host.fenced.aborted).toBe(true);
      expect(acknowledged.length).toBeGreaterThan(1);

      await startAgain();
      const next = await startHost();
      const { epoch } = await route("acme");
      expect(epoch).toBeGreaterThan(1_000_000);
      const here = notes(await at(next, "acme"));
      for (const text of acknowledged) expect(here).toContain(text);
      expect(notes(await at(next, "later"))).toEqual(["after the snapshot"]);
      await putNote(await at(next, "acme"), "goes on");
    },
  );

  test("an old copy of the state does not lead; restoring beside it does, and gives revisions above all before", async () => {
    const host = await startHost();
    const id = await create("acme");
    await putNote(await at(host, "acme"), "one");
    await recorded(id);
    const revision = running.control.table.revision;
    await running.stop();
    const control = join(running.directory, "control");
    cpSync(control, join(running.directory, "copy"), { recursive: true });
    await startAgain(); // another term claims another block
    await running.stop();
    rmSync(control, { recursive: true });
    renameSync(join(running.directory, "copy"), control);
    await startAgain();
    expect(() => running.control.leadership.require()).toThrow("older copy");
    await running.stop();
    await expect(restore()).rejects.toMatchObject({ code: "invalid_directory" });
    rmSync(control, { recursive: true });
    await restore();
    await expect(restore()).rejects.toMatchObject({ code: "invalid_directory" });
    await startAgain();
    expect(running.control.table.revision).toBeGreaterThan(revision);
    expect(notes(await at(await startHost(), "acme"))).toEqual(["one"]);
  });

  test("tenants deleted and purged after the snapshot stay so; data without a record is suspended, not lost", async () => {
    const host = await startHost();
    const [gone, purged, orphan] = [await create("gone"), await create("purged"), await create("orphan")];
    for (const slug of ["gone", "purged", "orphan"]) await putNote(await at(host, slug), slug);
    for (const id of [gone, purged, orphan]) await recorded(id);
    await snapshot();
    const { runner, table } = running.control;
    host.worker.answer = () => Response.json({ base: {} });
    for (const [id, retainMs] of [
      [gone, 60_000],
      [purged, 0],
    ] as const) {
      const meta = runner.meta("test");
      await runner.run((view) => deleteTenant(view, meta, id, retainMs));
    }
    for (let i = 0; i < 500 && table.get(metadataRowKey(purged))?.gone === undefined; i++)
      await Bun.sleep(10);
    await Bun.sleep(300);
    await loseControl();
    const deleteRecords = async (store: ObjectStore): Promise<void> => {
      for await (const { key } of listAll(store, { prefix: metadataPrefix(orphan) }))
        await store.delete([key]);
    };
    await withStore(deleteRecords);
    const report = await restore("none");
    expect(report.orphans).toEqual([orphan]);
    await startAgain();
    const { table: now } = running.control;
    expect(now.get(tenantKey(gone))).toMatchObject({ state: "deleted", slug: "gone" });
    expect(now.get(tenantKey(purged))).toBeUndefined();
    expect(now.get(tenantKey(orphan))).toMatchObject({ suspended: true, slug: `recovered-${orphan}` });
  });

  test("several logs: one sealed already, one never written", async () => {
    const first = await startHost();
    const id = await create("acme");
    const tenant = await at(first, "acme");
    for (let i = 0; i < 8; i++) await putNote(tenant, `${i}`);
    await recorded(id);
    const silent = await startHost();
    await loseControl();
    const end = await withStore((store) =>
      sealLog({ store, incarnation: first.worker.incarnation, from: 0 as LogSeq, nonce: newNonce() }),
    );
    const report = await restore();
    expect(report).toMatchObject({ logs: 2, tails: 1 });
    await startAgain();
    expect(running.control.table.get(tenantKey(id))?.tails).toEqual([
      { incarnation: first.worker.incarnation, endSeq: end },
    ]);
    expect(
      await withStore((store) => store.head(logKey(silent.worker.incarnation, 1 as LogSeq))),
    ).toBeDefined();
    expect(notes(await at(await startHost(), "acme"))).toHaveLength(8);
  });

  test("of a retired log nothing counts, half deleted as it is; a tenant whose files are gone is named", async () => {
    const host = await startHost();
    const id = await create("acme");
    const tenant = await at(host, "acme");
    for (let i = 0; i < 6; i++) await putNote(tenant, `${i}`);
    await recorded(id);
    const base = (await host.stop()).released[0]?.base ?? {};
    expect(base["data.db"]?.txid).toBeGreaterThan(0);
    const { runner } = running.control;
    // As a report of it would leave the record.
    await runner.run((view) => {
      const record = view.get(tenantKey(id)) as TenantRecord;
      const next = { ...record, base, virgin: false };
      return { draft: draft(view, [], [put(tenantKey(id), next)]), value: undefined };
    });
    await snapshot();
    await loseControl();
    const { incarnation } = host.worker;
    await withStore(async (store) => {
      await store.put(retiredKey(incarnation), new Uint8Array(1));
      await store.delete([logKey(incarnation, 2 as LogSeq)]);
    });
    const files = await withStore((store) =>
      Array.fromAsync(listAll(store, { prefix: ltxPrefix(id, DATA_DB) })),
    );
    const newest = files.at(-1)?.key ?? "";
    const bytes = await withStore((store) => getBytes(store, newest));
    await withStore((store) => store.delete(files.map(({ key }) => key)));
    await expect(restore()).rejects.toMatchObject({ message: expect.stringContaining(`acme (${id})`) });
    await withStore((store) => store.put(newest, bytes ?? new Uint8Array()));
    expect(files).toHaveLength(1);
    expect(await restore()).toMatchObject({ tails: 0, tenants: 1 });
    await startAgain();
    expect(notes(await at(await startHost(), "acme"))).toHaveLength(6);
  });

  test("a missing log object, a damaged record, a damaged or foreign snapshot: named, and nothing is made", async () => {
    const host = await startHost();
    const id = await create("acme");
    const tenant = await at(host, "acme");
    for (let i = 0; i < 3; i++) await putNote(tenant, `${i}`);
    await recorded(id);
    await snapshot();
    await loseControl();
    const slot = logKey(host.worker.incarnation, 2 as LogSeq);
    const removed = await withStore(async (store) => {
      const bytes = await getBytes(store, slot);
      await store.delete([slot]);
      return bytes ?? new Uint8Array();
    });
    await expect(restore()).rejects.toMatchObject({ message: expect.stringContaining("slot 2 is missing") });
    await withStore((store) => store.put(slot, removed));

    const garbage = metadataKey(id, 99, 1);
    for (const [text, code] of [
      ["{", "object_corrupt"],
      ['{"version":2}', "object_version"],
    ] as const) {
      await withStore((store) => store.put(garbage, new TextEncoder().encode(text)));
      await expect(restore()).rejects.toMatchObject({ code, message: expect.stringContaining(garbage) });
    }
    await withStore((store) => store.delete([garbage]));

    const foreign = controlSnapshotKey(98, 1);
    const other = { cluster: "other", block: 98, revision: 1, at: "2026-01-01T00:00:00.000Z", rows: [] };
    const encoded = await encodeSnapshot(other);
    await withStore((store) => store.put(foreign, encoded));
    await expect(restore()).rejects.toMatchObject({
      code: "object_foreign",
      message: expect.stringContaining(foreign),
    });
    await withStore((store) => store.delete([foreign]));

    const damaged = controlSnapshotKey(99, 1);
    const good = await withStore((store) =>
      Array.fromAsync(listAll(store, { prefix: controlSnapshotsPrefix })),
    );
    const bytes = await withStore((store) => getBytes(store, good.at(-1)?.key ?? ""));
    await withStore((store) => store.put(damaged, bytes?.slice(0, -9) ?? new Uint8Array()));
    await expect(restore(damaged)).rejects.toMatchObject({ code: "object_corrupt" });
    const report = await restore();
    expect(report.skipped).toEqual([expect.stringContaining(damaged)]);
    expect(report.snapshot?.key).toBe(good.at(-1)?.key);
  });
});
