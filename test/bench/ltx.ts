/**
 * What LTX costs, as ratios to copying the same bytes and to a native LZ4 in the same run: `bun test/bench/ltx.ts`.
 * Rates are of uncompressed pages; absolute numbers are printed only to read the ratios by.
 */
import { Database } from "bun:sqlite";
import { randomBytes } from "node:crypto";
import { compressSync, uncompressSync } from "lz4-napi";
import type { TenantId, Txid } from "../../shared/ids.ts";
import { Crc64 } from "../../shared/ltx/crc64.ts";
import { decodeLtx } from "../../shared/ltx/decode.ts";
import { encodeLtx } from "../../shared/ltx/encode.ts";
import { type LtxHeader, type LtxPage, type Lz4, ltxPages } from "../../shared/ltx/ltx.ts";
import { lz4Block } from "../../shared/ltx/lz4-block.ts";
import { mergeLtx } from "../../shared/ltx/merge.ts";
import { DataKeys } from "../../worker/encryption/data-key.ts";
import { openBytes, sealBytes } from "../../worker/encryption/sealed.ts";

const PAGE = 4_096;
const ROUNDS = 7;
const ROUND_MS = 120;

/** lz4-napi puts the size in 4 little-endian bytes before its blocks; LTX knows the size. */
const native: Lz4 = {
  compressBlock: (source) => compressSync(source as Buffer).subarray(4),
  decompressBlock: (source, size) => {
    const prefixed = new Uint8Array(source.length + 4);
    new DataView(prefixed.buffer).setUint32(0, size, true);
    prefixed.set(source, 4);
    return uncompressSync(prefixed);
  },
};

/** Pages of a table as PocketBase keeps them: ids, text, numbers, dates, one index. */
function recordPages(): LtxPage[] {
  const db = new Database(":memory:");
  db.run("CREATE TABLE records (id TEXT PRIMARY KEY, title TEXT, count REAL, created TEXT)");
  db.run(
    `INSERT INTO records WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
     SELECT lower(hex(randomblob(7))) || 'x', 'the title of record ' || i * 7919 % 10007, i, datetime(1700000000 + i, 'unixepoch') FROM n`,
  );
  const bytes = db.serialize();
  db.close();
  return Array.from({ length: bytes.length / PAGE }, (_, i) => ({
    pgno: i + 1,
    data: new Uint8Array(bytes.subarray(i * PAGE, (i + 1) * PAGE)),
  }));
}

const pages = recordPages();
const header: LtxHeader = {
  pageSize: PAGE,
  commit: pages.length,
  minTxid: 1 as Txid,
  maxTxid: 1 as Txid,
  timestampMs: Date.now(),
  epoch: 0,
  walOffset: 0,
  walSize: 0,
  salt1: 0,
  salt2: 0,
};
const megabytes = (pages.length * PAGE) / 1e6;
const file = encodeLtx(header, pages);
const decoded = decodeLtx(file);
const blocks = pages.map(({ data }) => lz4Block.compressBlock(data).slice());
const nativeBlocks = pages.map(({ data }) => new Uint8Array(native.compressBlock(data)));
const copy = new Uint8Array(pages.length * PAGE);

/** What an encrypted tenant pays on top: bodies of log entries, and objects. */
const keys = new DataKeys("benchbenchbench" as TenantId);
keys.add(1, crypto.getRandomValues(new Uint8Array(32)));
const as = { kind: "entry", name: "benchbenchbench/data.db/1/1" };
const whole = new Uint8Array(pages.length * PAGE);
pages.forEach(({ data }, i) => whole.set(data, i * PAGE));
const pieces = (bytes: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(whole.length / bytes) }, (_, i) =>
    whole.subarray(i * bytes, (i + 1) * bytes),
  );
const entries = pieces(16 * 1024);
const seal = (content: Uint8Array): Uint8Array => sealBytes(keys, as, content, randomBytes);
const sealedEntries = entries.map(seal);
const sealedWhole = seal(whole);

const works = {
  memcpy: () => pages.forEach(({ data }, i) => copy.set(data, i * PAGE)),
  crc64: () => pages.reduce((crc, { data }) => crc.update(data), new Crc64()),
  "lz4 compress": () => pages.forEach(({ data }) => lz4Block.compressBlock(data)),
  "lz4 compress, native": () => pages.forEach(({ data }) => native.compressBlock(data)),
  "lz4 decompress": () => blocks.forEach((block) => lz4Block.decompressBlock(block, PAGE)),
  "lz4 decompress, native": () => nativeBlocks.forEach((block) => native.decompressBlock(block, PAGE)),
  encodeLtx: () => encodeLtx(header, pages),
  "encodeLtx, native": () => encodeLtx(header, pages, { lz4: native }),
  decodeLtx: () => decodeLtx(file),
  "decodeLtx, native": () => decodeLtx(file, { lz4: native }),
  "seal, 16 KiB each": () => entries.forEach(seal),
  "open, 16 KiB each": () => sealedEntries.forEach((sealed) => openBytes(keys, as, sealed)),
  "seal, whole": () => seal(whole),
  "open, whole": () => openBytes(keys, as, sealedWhole),
  "mergeLtx and encode": () => {
    const merged = mergeLtx([decoded, decoded]);
    return encodeLtx(merged.header, ltxPages(merged.pages));
  },
};
type Work = keyof typeof works;

/** MB/s of one round; rounds of all works are interleaved, so that a busy machine slows all alike. */
function rate(work: () => unknown): number {
  const start = performance.now();
  let times = 0;
  let elapsed = 0;
  while (elapsed < ROUND_MS) {
    work();
    times++;
    elapsed = performance.now() - start;
  }
  return (megabytes * times) / (elapsed / 1_000);
}

const rates = new Map<Work, number[]>();
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, work] of Object.entries(works)) {
    const list = rates.get(name as Work) ?? [];
    list.push(rate(work));
    rates.set(name as Work, list);
  }
}
const median = (name: Work): number => (rates.get(name) ?? []).sort((a, b) => a - b)[ROUNDS >> 1] ?? 0;

console.log(
  `${megabytes.toFixed(1)} MB of pages, LTX ${((file.length / 1e6 / megabytes) * 100).toFixed(0)} % of that`,
);
for (const name of Object.keys(works) as Work[]) {
  const ratio = median(name) / median("memcpy");
  console.log(
    `${name.padEnd(24)} ${median(name).toFixed(0).padStart(6)} MB/s  ${ratio.toFixed(4)} of memcpy`,
  );
}
for (const name of ["lz4 compress", "lz4 decompress", "encodeLtx", "decodeLtx"] as const) {
  const ratio = median(name) / median(`${name}, native`);
  console.log(`${name.padEnd(24)} ${ratio.toFixed(2)} of the same with lz4-napi`);
}
for (const [sealing, work] of [
  ["seal, 16 KiB each", "encodeLtx"],
  ["open, 16 KiB each", "decodeLtx"],
] as const) {
  // Of pages: an LTX file of them has fewer bytes to seal.
  const share = (median(work) / median(sealing)) * (file.length / 1e6 / megabytes);
  console.log(`${sealing.padEnd(24)} adds ${(share * 100).toFixed(0)} % to ${work}`);
}
