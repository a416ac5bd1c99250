/** Branches after a restore: they read their parent's files, which a pin under its prefix keeps. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import {
  type TestControl,
  type TestWorker,
  startTestControl,
  startTestWorker,
} from "../../../control/control-fixture.ts";
import { createBranch, detachTenant, intendBranch } from "../../../control/domain/branch-tenant.ts";
import { metadataRowKey, tenantKey } from "../../../control/domain/keys.ts";
import type { TenantRecord } from "../../../control/domain/records.ts";
import { draft, put } from "../../../control/domain/view.ts";
import { openObjectStore } from "../../../control/objects.ts";
import type { Epoch, Slug, TenantId } from "../../../shared/ids.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { metadataPrefix, pinKey, tenantPrefix } from "../../../shared/objects/layout.ts";
import { getBytes, listAll } from "../../../shared/objects/read.ts";
import { assignmentSchema, routeSchema } from "../../../shared/protocol/internal.ts";
import { pinBranch } from "../../../worker/points/pin-branch.ts";
import type { Tenant } from "../../../worker/tenant/contract.ts";
import { type TenantHost, createTenantHost } from "../../../worker/tenant/host.ts";
import { notes, putNote } from "../../../worker/tenant/test-world.ts";
import { restoreControl } from "./restore.ts";
import { intoDirectory } from "./restore-target.ts";

const { signal } = new AbortController();
let running: TestControl;
let store: ObjectStore;
let host: TenantHost;
let worker: TestWorker;
let directories: string[];

beforeEach(async () => {
  directories = [];
  running = await startTestControl();
  store = await openObjectStore(`file:${join(running.directory, "store")}`, {});
  await startHost();
});
afterEach(async () => {
  host.abandon();
  await worker.kill();
  await running.remove();
  await store.close();
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

async function startHost(): Promise<void> {
  worker = await startTestWorker(running);
  const { incarnation, nonce } = worker;
  const { member } = running;
  const directory = mkdtempSync(join(tmpdir(), "restore-branches-"));
  directories.push(directory);
  host = createTenantHost({
    directory,
    store,
    incarnation,
    nonce,
    control: {
      assignment: (tenant) =>
        member.call("GET", `/v1/workers/${incarnation}/assignments/${tenant}`, assignmentSchema),
      report: async (reports) => {
        await member.call("POST", `/v1/workers/${incarnation}/reports`, z.object({}), { reports });
      },
      mayAnswer: () => true,
    },
    bootstrap: () => Promise.resolve(),
    onError: () => undefined,
  });
}

async function at(slug: string): Promise<Tenant> {
  const route = await running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug });
  return await host.acquire(route.tenant, route.epoch as Epoch);
}

const record = (id: TenantId) => running.control.table.get(tenantKey(id));

/** What the store holds of it is what the state holds. */
async function recorded(id: TenantId): Promise<void> {
  while (running.control.table.get(metadataRowKey(id)) === undefined) await Bun.sleep(5);
}

async function parentWith(...texts: string[]): Promise<{ id: TenantId; tenant: Tenant }> {
  const { body } = await running.cp("POST", "/tenants", { slug: "parent" });
  const tenant = await at("parent");
  for (const text of texts) await putNote(tenant, text);
  return { id: body["id"] as TenantId, tenant };
}

/** As the operators' API does it, with the parent's worker in this process. */
async function branchOf(parent: TenantId, tenant: Tenant): Promise<TenantId> {
  const { runner } = running.control;
  const id = `branch${Math.random().toString(36).slice(2).padEnd(15, "0")}`.slice(0, 15) as TenantId;
  const command = { meta: runner.meta("test"), id, slug: "branch" as Slug, parent };
  await runner.run((view) => intendBranch(view, command));
  const point = await pinBranch(tenant, { branch: id }, signal);
  await runner.run((view) => createBranch(view, { ...command, meta: runner.meta("test"), point }));
  return id;
}

async function change(id: TenantId, edit: (record: TenantRecord) => TenantRecord): Promise<void> {
  await running.control.runner.run((view) => ({
    draft: draft(view, [tenantKey(id)], [put(tenantKey(id), edit(view.get(tenantKey(id))!))]),
    value: undefined,
  }));
}

/** Control is lost, and what the store alone gives starts in its place, with a new worker. */
async function loseAndRestore(between: () => Promise<void> = () => Promise.resolve()) {
  host.abandon();
  await worker.kill();
  await running.stop();
  renameSync(join(running.directory, "control"), join(running.directory, "lost"));
  await between();
  const target = intoDirectory(running.directory, "1");
  const report = await restoreControl({ store, target, signal, nowMs: Date.now(), from: "none" });
  running = await startTestControl(running.directory);
  await startHost();
  return report;
}

async function remove(prefix: string): Promise<void> {
  for (const { key } of await Array.fromAsync(listAll(store, { prefix }))) await store.delete([key]);
}

describe("restoreControl, branches", () => {
  test.each(["before", "after"])(
    "of a live parent: both are what they were, lost %s the branch's first write",
    async (when) => {
      const { id: parent, tenant } = await parentWith("one", "two");
      const id = await branchOf(parent, tenant);
      await putNote(tenant, "of the parent");
      if (when === "after") await putNote(await at("branch"), "of the branch");
      await recorded(id);
      const report = await loseAndRestore();
      expect(report).toMatchObject({ tenants: 2, orphans: [], renamed: [] });
      expect(record(id)?.origin?.tenant).toBe(parent);
      // Its pin is what keeps the parent's files: nobody is to remove it.
      expect([...running.control.table.pins()]).toEqual([]);
      const written = when === "after" ? ["of the branch"] : [];
      expect(notes(await at("branch"))).toEqual(["one", "two", ...written]);
      expect(notes(await at("parent"))).toEqual(["one", "two", "of the parent"]);
      expect(await store.head(pinKey(parent, id))).toBeDefined();
    },
  );

  test.each([true, false])(
    "without a record, written to: %p: it comes back by its pin, suspended, and reads its parent",
    async (written) => {
      const { id: parent, tenant } = await parentWith("one");
      const id = await branchOf(parent, tenant);
      if (written) await putNote(await at("branch"), "of the branch");
      await recorded(id);
      const report = await loseAndRestore(() => remove(metadataPrefix(id)));
      expect(report.orphans).toEqual([id]);
      const slug = `recovered-${id}`;
      expect(record(id)).toMatchObject({ slug, suspended: true, origin: { tenant: parent } });
      expect((await running.cp("POST", `/tenants/${slug}/resume`)).status).toBe(200);
      expect(notes(await at(slug))).toEqual(written ? ["one", "of the branch"] : ["one"]);
    },
  );

  test("whose parent is being purged: the purge goes on and waits for it", async () => {
    const { id: parent, tenant } = await parentWith("one");
    const id = await branchOf(parent, tenant);
    await recorded(id);
    await recorded(parent);
    const deletion = { at: new Date(0).toISOString(), purging: true as const };
    await running.stop();
    running = await startTestControl(running.directory);
    const before = running.control.table.get(metadataRowKey(parent))?.digest;
    await change(parent, (one) => {
      const { owner: _, transfer: __, ...rest } = one;
      return { ...rest, state: "deleted", deletion: deletion as never };
    });
    while (running.control.table.get(metadataRowKey(parent))?.digest === before) await Bun.sleep(5);
    await loseAndRestore();
    expect(record(parent)).toMatchObject({ state: "deleted", deletion: { purging: true } });
    expect(notes(await at("branch"))).toEqual(["one"]);
  });

  test("that stood alone already, though its record does not say so, and whose parent is gone", async () => {
    const { id: parent, tenant } = await parentWith("one");
    const id = await branchOf(parent, tenant);
    const branch = await at("branch");
    await putNote(branch, "two");
    // A snapshot of its own, and files after it.
    await branch.history.materialise();
    await putNote(branch, "three");
    await branch.history.materialise();
    await recorded(id);
    await loseAndRestore(() => remove(tenantPrefix(parent)));
    expect(notes(await at("branch"))).toEqual(["one", "two", "three"]);
  });

  test("that was detached: the pin that was about to go goes", async () => {
    const { id: parent, tenant } = await parentWith("one");
    const id = await branchOf(parent, tenant);
    const branch = await at("branch");
    await branch.history.materialise();
    await recorded(id);
    const before = running.control.table.get(metadataRowKey(id))?.digest;
    const pin = (await getBytes(store, pinKey(parent, id)))!;
    const meta = running.control.runner.meta("test");
    await running.control.runner.run((view) => detachTenant(view, meta, id));
    while (running.control.table.get(metadataRowKey(id))?.digest === before) await Bun.sleep(5);
    await loseAndRestore(() => store.put(pinKey(parent, id), pin).then(() => undefined));
    expect(record(id)).not.toContainKey("origin");
    while ((await store.head(pinKey(parent, id))) !== undefined) await Bun.sleep(5);
    while ([...running.control.table.pins()].length > 0) await Bun.sleep(5);
    expect(notes(await at("branch"))).toEqual(["one"]);
  });

  test("whose parent's files are missing is named, and with accepted loss suspended", async () => {
    const { id: parent, tenant } = await parentWith("one");
    const id = await branchOf(parent, tenant);
    await recorded(id);
    await remove(pinKey(parent, id));
    const target = intoDirectory(join(running.directory, "other"), "1");
    const options = { store, target, signal, nowMs: Date.now() };
    await expect(restoreControl(options)).rejects.toMatchObject({
      code: "chain_gap",
      message: expect.stringContaining("what it reads of its parent is missing"),
    });
    const { loss } = await restoreControl({ ...options, acceptLoss: true });
    expect(loss?.tenants).toContainEqual(expect.objectContaining({ tenant: id, state: "origin" }));
  });
});
