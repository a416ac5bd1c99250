import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { parseKeyring } from "../../shared/protocol/keys.ts";
import { base64Url } from "../../shared/protocol/mac.ts";
import { dataKeyKey } from "../../shared/objects/layout.ts";
import { DATA_KEY_BYTES } from "./data-key.ts";
import { keyRefused } from "./errors.ts";
import type { KeyContext, KeyProvider } from "./key-provider.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEK_BYTES = 32;
const PREFIX = "local:";

/**
 * A file of key-encryption keys, one `id:base64url(32 bytes)` a line, readable by its owner only. The first wraps, all unwrap. The file is
 * read again before each wrapping and for ids that were not in it, so that a running worker sees a rotation.
 * @throws UserError `invalid_option`
 */
export function localKeyring(file: string): KeyProvider {
  let keys = readKeyring(file);
  return {
    current: () => Promise.resolve(PREFIX + firstOf((keys = readKeyring(file)))[0]),
    wrap(dataKey, context) {
      keys = readKeyring(file);
      const [id, kek] = firstOf(keys);
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", kek, nonce).setAAD(boundTo(context));
      const wrapped = Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
      return Promise.resolve({ kek: PREFIX + id, wrapped: new Uint8Array(wrapped) });
    },
    async unwrap({ kek: name, wrapped }, context) {
      if (!name.startsWith(PREFIX)) return undefined;
      const id = name.slice(PREFIX.length);
      if (!keys.has(id)) keys = readKeyring(file);
      const kek = keys.get(id);
      if (kek === undefined) return undefined;
      const what = dataKeyKey(context.tenant, context.version);
      if (wrapped.length !== NONCE_BYTES + DATA_KEY_BYTES + TAG_BYTES)
        throw keyRefused(what, "it has another length");
      const end = wrapped.length - TAG_BYTES;
      const decipher = createDecipheriv("aes-256-gcm", kek, wrapped.subarray(0, NONCE_BYTES)).setAAD(
        boundTo(context),
      );
      decipher.setAuthTag(wrapped.subarray(end));
      const dataKey = decipher.update(wrapped.subarray(NONCE_BYTES, end));
      try {
        decipher.final();
      } catch (cause) {
        throw keyRefused(
          what,
          `${name} does not open it: another key of that name, another tenant's, or changed`,
          cause,
        );
      }
      return new Uint8Array(dataKey);
    },
    close: () => {
      for (const kek of keys.values()) kek.fill(0);
      keys = new Map();
    },
  };
}

/** Puts a new key first, in a new file if there is none. @returns its id @throws UserError `invalid_option` */
export function addLocalKey(file: string, nowMs: number): string {
  const known = statSync(file, { throwIfNoEntry: false }) === undefined ? undefined : readKeyring(file);
  const id = `kek-${new Date(nowMs).toISOString().slice(0, 10)}-${randomBytes(4).toString("hex")}`;
  const rest = known === undefined ? "" : readFileSync(file, "utf8");
  const temporary = `${file}.${process.pid}.new`;
  try {
    writeFileSync(temporary, `${id}:${base64Url(randomBytes(KEK_BYTES))}\n${rest}`, {
      mode: 0o600,
      flush: true,
    });
    renameSync(temporary, file);
  } catch (cause) {
    throw unusable(file, (cause as Error).message);
  }
  return id;
}

function readKeyring(file: string): Map<string, Uint8Array> {
  let text: string;
  try {
    const { mode, size } = statSync(file);
    if (process.platform !== "win32" && (mode & 0o077) !== 0) {
      throw unusable(file, "others than its owner may read it", `Run chmod 600 ${file}.`);
    }
    if (size > limits.keyringBytesMax) throw unusable(file, `it has ${size} bytes`);
    text = readFileSync(file, "utf8");
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw unusable(file, (cause as Error).message);
  }
  let byId: ReturnType<typeof parseKeyring>["byId"];
  try {
    ({ byId } = parseKeyring(text, file));
  } catch {
    throw unusable(file, "its lines are not id:key");
  }
  const lines = text.split(/[\s,]+/).filter((part) => part !== "").length;
  if (lines !== byId.size) throw unusable(file, "an id stands in it twice");
  for (const [id, { secret }] of byId) {
    if (secret.length !== KEK_BYTES)
      throw unusable(file, `${id} has ${secret.length} bytes instead of ${KEK_BYTES}`);
  }
  return new Map([...byId].map(([id, { secret }]) => [id, secret]));
}

function firstOf(keys: ReadonlyMap<string, Uint8Array>): [string, Uint8Array] {
  // A keyring without keys does not parse.
  return [...keys][0] as [string, Uint8Array];
}

const boundTo = ({ tenant, version }: KeyContext): Buffer =>
  Buffer.from(`manybase/1/data-key/${version}/${tenant}`);

function unusable(file: string, state: string, hint?: string): UserError {
  return new UserError("invalid_option", `Cannot use keyring ${file}: ${state}`, {
    hint:
      hint ??
      `\`bun run manybase keys new --keys local:${file}\` makes one; keep a copy of it in a safe place.`,
  });
}
