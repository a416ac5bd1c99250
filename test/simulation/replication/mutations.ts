/**
 * Defects to be put into the product's code, each of which the simulator must notice. The code is changed as it is loaded, in a
 * child process (mutate.ts); nothing of this is in the product. `find` must occur exactly once, so that a mutation whose code has
 * changed fails instead of proving nothing.
 */
export interface Mutation {
  name: string;
  /** Absent: the simulation itself plays the broken part. */
  change?: { file: string; find: string; replace: string };
  /** Caught within so many seeds. */
  seedsMax: number;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "ack before PUT",
    change: {
      file: "worker/replication/position.ts",
      find: "return mark <= this.#durableMark;",
      replace: "return mark <= this.mark;",
    },
    seedsMax: 40,
  },
  {
    name: "sealer from the first hole of a truncated log",
    change: {
      file: "shared/log/slots.ts",
      find: "let low = floor;",
      replace: `let low = floor;
  if (low >= 0) {
    while ((await readSlot(slots, (low + 1) as LogSeq, options)) !== undefined) low = (low + 1) as LogSeq;
    return low;
  }`,
    },
    seedsMax: 80,
  },
  {
    name: "second sealer ignores the first SEAL",
    change: {
      file: "shared/log/seal.ts",
      find: 'const holder = header.kind === "seal" ? "seal" : "writer";',
      replace:
        'const holder = header.kind === "seal" && header.nonce === this.#options.nonce ? "seal" : "writer";',
    },
    seedsMax: 40,
  },
  {
    name: "time-out counted as lost",
    change: {
      file: "shared/log/seal.ts",
      find: 'const holder = outcome === "exists" ? await this.#look(slot, signal) : undefined;',
      replace: 'const holder = outcome === "exists" ? await this.#look(slot, signal) : "writer";',
    },
    seedsMax: 80,
  },
  {
    name: "time-out counted as success",
    change: {
      file: "worker/replication/put-machine.ts",
      find: 'if (outcome === "unknown") return this.#retryLater(busy, atMs);',
      replace: 'if (outcome === "unknown") return this.#durable(busy, atMs);',
    },
    seedsMax: 40,
  },
  { name: "SEAL deleted with the log", seedsMax: 500 },
  {
    name: "load without a tail",
    change: {
      file: "worker/replication/restore.ts",
      find: "...assignment.tails.map(",
      replace: "...assignment.tails.slice(1).map(",
    },
    seedsMax: 40,
  },
  {
    name: "creation on an empty listing",
    change: {
      file: "worker/replication/restore.ts",
      find: "if (!names.has(DATA_DB)) {",
      replace:
        "if (chains.size === 0 && items.length === 0) return { databases: new Map(), neededTails: [] };\n  if (!names.has(DATA_DB)) {",
    },
    seedsMax: 80,
  },
  {
    name: "snapshot of a non-durable cut",
    change: {
      file: "worker/tenant/database-cuts.ts",
      find: "if (image !== undefined) await this.#home.gate.durable(this.#position, this.#position.mark);",
      replace: "",
    },
    seedsMax: 80,
  },
  {
    name: "restore that skips a gap in the tails",
    change: {
      file: "worker/replication/tail-plan.ts",
      find: "if (txid !== reached + 1) {",
      replace: "if (txid < 0) {",
    },
    seedsMax: 300,
  },
  {
    name: "restore that skips a gap under the prefix",
    change: {
      file: "worker/replication/restore.ts",
      find: "if (reached < (base?.txid ?? 0)) {",
      replace: "if (reached < 0) {",
    },
    seedsMax: 80,
  },
  {
    name: "second connection that checkpoints",
    change: {
      file: "worker/sqlite/open.ts",
      find: 'connection.exec("PRAGMA wal_autocheckpoint=0");',
      replace: 'connection.exec("PRAGMA wal_autocheckpoint=1");',
    },
    seedsMax: 40,
  },
  {
    name: "a restart of the WAL that nobody watches",
    change: {
      file: "worker/replication/wal-reader.ts",
      find: "if (this.#end !== 0 && (!this.#mayRestart || !isNext)) {",
      replace: "if (this.#end < 0) {",
    },
    seedsMax: 400,
  },
  {
    name: "maintenance that knows no pins",
    change: {
      file: "worker/replication/maintainer.ts",
      find: "const pinned = new Set(pins.flatMap((pin) => pin.keys));",
      replace: "const pinned = new Set<string>();",
    },
    seedsMax: 80,
  },
  {
    name: "point in time that skips a flush",
    change: {
      file: "worker/points/write-point.ts",
      find: "if (txid <= reached) continue;",
      replace: "if (txid <= reached + 1 && txid > 1) continue;",
    },
    seedsMax: 40,
  },
  {
    name: "entries of an encrypted tenant in the clear",
    change: {
      file: "worker/encryption/entry-ciphers.ts",
      find: "return own === undefined ? undefined : sealBytes(own, sealedAs(place), ltx, keys.randomBytes);",
      replace:
        "return own === undefined || place.txid % 3 === 0 ? undefined : sealBytes(own, sealedAs(place), ltx, keys.randomBytes);",
    },
    seedsMax: 20,
  },
  {
    name: "entries that open at any TXID",
    change: {
      file: "worker/encryption/entry-ciphers.ts",
      find: "name: `${tenant}/${database}/${epoch}/${txid}`,",
      replace: "name: `${tenant}/${database}/${epoch}/${txid < 1}`,",
    },
    seedsMax: 20,
  },
  {
    name: "salt and nonce used twice",
    change: {
      file: "worker/encryption/sealed.ts",
      find: "header.set(randomBytes(SALT_BYTES + NONCE_PREFIX_BYTES), PREFIX_BYTES + 1);",
      replace:
        "header.set(randomBytes(SALT_BYTES + NONCE_PREFIX_BYTES).map((byte, i) => i > 0 ? 0 : byte), PREFIX_BYTES + 1);",
    },
    seedsMax: 20,
  },
  {
    name: "a lost data key is made anew",
    change: {
      file: "worker/encryption/tenant-keys.ts",
      find: "if (keys.isEmpty && !mayBeNew) throw keyMissing(tenant);",
      replace:
        "if (keys.isEmpty) { this.#open.set(tenant, { leases: 1, keys }); await this.#create(tenant, signal); return keys; }",
    },
    seedsMax: 40,
  },
  {
    name: "low watermark above counters",
    change: {
      file: "worker/tenant/host-parts.ts",
      find: "lowerSlot(materialiser.oldestNeeded(), states.oldestNeeded())",
      replace: "materialiser.oldestNeeded()",
    },
    seedsMax: 120,
  },
  {
    name: "counters that no DIRECTORY's object repeats",
    change: {
      file: "worker/state/state-log.ts",
      find: "const repeats = seq % limits.logDirectoryEvery === 0;",
      replace: "const repeats = seq < 0;",
    },
    seedsMax: 120,
  },
  {
    name: "fencing that is not noticed",
    change: {
      file: "worker/replication/log-writer.ts",
      find: "return header.nonce === nonce && header.seq === seq;",
      replace: "return header.seq === seq;",
    },
    seedsMax: 40,
  },
];
