import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { TenantId } from "../../shared/ids.ts";
import {
  backupKey,
  dataKeyKey,
  dataKeysPrefix,
  metadataPrefix,
  storageKey,
  tenantPrefix,
} from "../../shared/objects/layout.ts";
import { tenantViewSchema } from "../../shared/protocol/cp.ts";
import { type TestControl, startTestControl } from "../control-fixture.ts";
import { deleteTenant } from "../domain/delete-tenant.ts";
import { tenantKey } from "../domain/keys.ts";

let running: TestControl;
beforeEach(async () => {
  running = await startTestControl();
});
afterEach(() => running.remove());

async function created(body: Record<string, unknown>): Promise<{ id: TenantId; encrypted: boolean }> {
  const { id, encrypted } = tenantViewSchema.parse((await running.cp("POST", "/tenants", body)).body);
  return { id, encrypted: encrypted === true };
}

const encryptedOf = (id: TenantId): boolean | undefined =>
  running.control.table.get(tenantKey(id))?.encrypted;

describe("an encrypted tenant", () => {
  test("is made when asked for, is said to be one, and never changes", async () => {
    const { id, encrypted } = await created({ slug: "sealed", encrypted: true });
    expect([encrypted, encryptedOf(id)]).toEqual([true, true]);
    const plain = await created({ slug: "open" });
    expect([plain.encrypted, encryptedOf(plain.id)]).toEqual([false, undefined]);
    expect(await created({ slug: "said", encrypted: false })).toMatchObject({ encrypted: false });
    for (const [slug, value] of [
      ["sealed", false],
      ["open", true],
    ] as const) {
      await running.cp("PATCH", `/tenants/${slug}`, { durability: "async", encrypted: value });
    }
    expect([encryptedOf(id), encryptedOf(plain.id)]).toEqual([true, undefined]);
  });

  test("is the default where the platform says so, unless its creation says otherwise", async () => {
    const other = await startTestControl(undefined, { settings: { encryptTenants: true } });
    const make = async (body: unknown): Promise<boolean> =>
      tenantViewSchema.parse((await other.cp("POST", "/tenants", body)).body).encrypted === true;
    expect(await make({ slug: "one" })).toBe(true);
    expect(await make({ slug: "two", encrypted: false })).toBe(false);
    await other.remove();
  });

  test("loses its data keys first of all when it is purged, and all that it has in the end", async () => {
    const { id } = await created({ slug: "sealed", encrypted: true });
    const { objects } = running;
    const keys = [
      dataKeyKey(id, 1),
      dataKeyKey(id, 2),
      storageKey(id, "c", "r", "f"),
      backupKey(id, "b.zip"),
    ];
    for (const key of keys) await objects.put(key, new Uint8Array(1));
    const deleted: string[] = [];
    const remove = objects.delete.bind(objects);
    objects.delete = async (gone, options) => {
      deleted.push(...gone);
      return remove(gone, options);
    };
    const shredded: string[] = [];
    objects.shred = async (prefix) => {
      shredded.push(prefix);
      deleted.push(prefix);
      const { objects: found } = await objects.list({ prefix });
      await remove(found.map(({ key }) => key));
    };
    const { runner } = running.control;
    const meta = runner.meta("test");
    await runner.run((view) => deleteTenant(view, meta, id, 0));
    while (running.control.table.get(tenantKey(id)) !== undefined) await Bun.sleep(10);
    expect(deleted[0]).toBe(dataKeysPrefix(id));
    expect(shredded.at(-1)).toBe(dataKeysPrefix(id));
    expect((await objects.list({ prefix: dataKeysPrefix(id) })).objects).toEqual([]);
    expect(await objects.head(storageKey(id, "c", "r", "f"))).toBeUndefined();
    const left = (await objects.list({ prefix: tenantPrefix(id) })).objects.map(({ key }) => key);
    // But the record that says that it is gone, if it is written by now.
    expect(left.filter((key) => !key.startsWith(metadataPrefix(id)))).toEqual([]);
  });
});
