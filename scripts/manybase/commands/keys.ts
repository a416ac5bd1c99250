import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { SystemError, UserError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { type KeyProvider, openKeyProvider } from "../../../worker/encryption/key-provider.ts";
import { addLocalKey } from "../../../worker/encryption/local-keyring.ts";
import { rotateKeys, storedKeys } from "../../../worker/encryption/rotate.ts";
import { openObjectStore } from "../../../worker/objects/open.ts";
import { type Command, type CommandOptions, words } from "../command.ts";
import { table } from "../table.ts";

/** These need no running platform: they work on the object store and on the keys. */
export const keyCommands: readonly Command[] = [
  {
    words: "keys new",
    usage: "keys new [--keys local:<file>]",
    about: "Puts a new key-encryption key first in a keyring, which is made when missing.",
    async run(_api, args, options) {
      words(args, 0, this.usage);
      const spec = keysOf(options);
      const file = spec.startsWith("local:") && !spec.includes(",") ? spec.slice("local:".length) : "";
      if (file === "") {
        throw new UserError("invalid_option", `Cannot make a key in ${spec}: it is not one keyring file`, {
          hint: "Write --keys local:<file>. Keys of AWS KMS are made there.",
        });
      }
      const isNew = !existsSync(file);
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      const id = addLocalKey(file, Date.now());
      const next = isNew ? "" : " `keys rotate` wraps all data keys by it.";
      return {
        text: `Made local:${id}, the first key of ${file}.${next} Without a copy of this file all encrypted tenants are lost with it.`,
        value: { file, key: `local:${id}` },
      };
    },
  },
  {
    words: "keys list",
    usage: "keys list [--store <url>]",
    about: "Shows which key-encryption keys wrap how many data keys.",
    async run(_api, args, options) {
      words(args, 0, this.usage);
      return withStore(options, async (store) => {
        const counts = new Map<string, { key: string; tenants: number; keys: number }>();
        for await (const { keys } of storedKeys(store, AbortSignal.timeout(limits.importMs))) {
          const keks = await Promise.all(
            keys.map((key) =>
              key.read().then(
                ({ kek }) => kek,
                () => "unreadable",
              ),
            ),
          );
          for (const kek of new Set(keks)) {
            const count = counts.get(kek) ?? { key: kek, tenants: 0, keys: 0 };
            counts.set(kek, count);
            count.tenants++;
            count.keys += keks.filter((one) => one === kek).length;
          }
        }
        const value = [...counts.values()];
        const rows = value.map(({ key, tenants, keys }) => [key, String(tenants), String(keys)]);
        return { text: table(["KEY", "TENANTS", "DATA KEYS"], rows, "No encrypted tenants yet."), value };
      });
    },
  },
  {
    words: "keys rotate",
    usage: "keys rotate [--store <url>] [--keys <list>]",
    about: "Wraps all data keys by the first key-encryption key; data is not rewritten.",
    async run(_api, args, options) {
      words(args, 0, this.usage);
      const provider: KeyProvider = openKeyProvider(keysOf(options));
      return withStore(options, async (store) => {
        const report = await rotateKeys(store, provider, AbortSignal.timeout(limits.importMs));
        const { tenants, keys, rewrapped, already, failed } = report;
        const [first] = failed;
        if (first !== undefined) {
          throw new SystemError(
            "key_refused",
            `Cannot rotate ${failed.length} of ${keys} data keys (${rewrapped} are done): ${first.error}`,
            {
              hint: "Name all keyrings that are still in use, and run it again: it goes on.",
              details: { ...report },
            },
          );
        }
        const wrapping = await provider.current();
        return {
          text: `${tenants} tenants, ${keys} data keys: ${rewrapped} wrapped anew by ${wrapping}, ${already} were already.`,
          value: { key: wrapping, ...report },
        };
      }).finally(() => provider.close());
    },
  },
];

const dataOf = (options: CommandOptions): string => options.data ?? "./data";
const keysOf = (options: CommandOptions): string =>
  options.keys ?? `local:${join(dataOf(options), "keys", "tenant.keys")}`;

async function withStore<T>(options: CommandOptions, work: (store: ObjectStore) => Promise<T>): Promise<T> {
  const store = await openObjectStore(options.store ?? `file:${join(dataOf(options), "store")}`, process.env);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
