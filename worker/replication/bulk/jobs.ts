import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { SystemError } from "../../../shared/errors.ts";
import { type LtxHeader, lockPage } from "../../../shared/ltx/ltx.ts";
import { LtxStreamEncoder } from "../../../shared/ltx/stream-encode.ts";
import { mergePages, planMerge } from "../../../shared/ltx/stream-merge.ts";
import { adoptDatabaseFile } from "../../sqlite/validate.ts";
import { imagePageSize } from "../capture.ts";
import { DatabaseFile } from "../database-file.ts";
import { writeFile } from "./output.ts";
import { unpackedPages } from "./packed-pages.ts";
import { PageSource } from "./page-source.ts";
import type { BulkChunks, BulkFile, BulkInput, BulkJobs, BulkKind } from "./work.ts";

/** Pages between two looks at whether anybody still wants the result. */
const LOOK_EVERY = 256;
const READ_BYTES = 1024 * 1024;

export interface JobContext {
  chunks: BulkChunks;
  /** Called often. @throws when the job is to end */
  look(): void;
}

/** The jobs themselves: synchronous but for reading chunks, so they belong in a thread unless they are small. */
export const jobs: {
  [Kind in BulkKind]: (job: BulkJobs[Kind]["job"], context: JobContext) => Promise<BulkJobs[Kind]["result"]>;
} = {
  restore,
  merge,
  encode,
  pages,
  adopt({ path, name }) {
    adoptDatabaseFile(path, name);
    return Promise.resolve({});
  },
};

const open = (inputs: readonly BulkInput[], at: number, { chunks }: JobContext): Promise<PageSource> =>
  PageSource.open(inputs[at] as BulkInput, () => chunks.next(at));

async function restore(
  { path, inputs }: BulkJobs["restore"]["job"],
  context: JobContext,
): Promise<BulkJobs["restore"]["result"]> {
  const headers: LtxHeader[] = [];
  const target = new DatabaseFile(path);
  try {
    for (const at of inputs.keys()) {
      const source = await open(inputs, at, context);
      target.begin(source.header);
      for (;;) {
        const next = source.next();
        const page = next instanceof Promise ? await next : next;
        if (page === undefined) break;
        target.page(page.pgno, page.data);
        if (source.count % LOOK_EVERY === 0) context.look();
      }
      target.end(source.header);
      headers.push(source.header);
    }
    context.look();
  } finally {
    target.discard();
  }
  return { headers };
}

async function merge(
  { target, inputs, snapshot }: BulkJobs["merge"]["job"],
  context: JobContext,
): Promise<BulkJobs["merge"]["result"]> {
  const sources: PageSource[] = [];
  for (const at of inputs.keys()) sources.push(await open(inputs, at, context));
  const runs: PageSource[][] = [];
  for (const source of sources) {
    const run = runs.at(-1);
    if (run?.[0]?.header.pageSize === source.header.pageSize) run.push(source);
    else runs.push([source]);
  }
  const files: BulkFile[] = [];
  for (const [i, run] of runs.entries()) {
    // The first file of another page size has every page: what was before it is of no use to a snapshot.
    if (snapshot && i < runs.length - 1) continue;
    files.push(await mergeRun(snapshot ? target : `${target}.${i}`, run, snapshot, context));
  }
  return { files };
}

async function mergeRun(
  path: string,
  run: readonly PageSource[],
  snapshot: boolean,
  context: JobContext,
): Promise<BulkFile> {
  const plan = planMerge(run.map((source) => source.header));
  const header: LtxHeader = snapshot ? { ...plan.header, minTxid: 1 as LtxHeader["minTxid"] } : plan.header;
  const sources = plan.used.map((i) => run[i] as PageSource);
  return writeFile(path, async (write) => {
    const encoder = new LtxStreamEncoder(header, write);
    let pages = 0;
    await mergePages(header, sources, (pgno, data) => {
      encoder.page(pgno, data);
      if (++pages % LOOK_EVERY === 0) context.look();
    });
    const [first] = sources;
    if (snapshot && first !== undefined && first.count !== wholePages(first.header)) {
      throw new SystemError(
        "object_corrupt",
        `Cannot merge from TXID ${first.header.minTxid}: its page size differs`,
        { details: { pages: first.count, commit: first.header.commit } },
      );
    }
    encoder.end();
    return { path, header, length: encoder.length };
  });
}

const wholePages = ({ commit, pageSize }: LtxHeader): number =>
  commit - (commit >= lockPage(pageSize) ? 1 : 0);

async function encode(
  { source, target, facts }: BulkJobs["encode"]["job"],
  context: JobContext,
): Promise<BulkJobs["encode"]["result"]> {
  const fd = openSync(source, "r");
  try {
    const size = fstatSync(fd).size;
    const head = new Uint8Array(100);
    readFully(fd, head, 0);
    const pageSize = imagePageSize(head);
    const header: LtxHeader = {
      ...facts,
      pageSize,
      commit: size / pageSize,
      walOffset: 0,
      walSize: 0,
      salt1: 0,
      salt2: 0,
    };
    return await writeHashed(target, header, (encoder) => {
      const lock = lockPage(pageSize);
      const buffer = new Uint8Array(READ_BYTES);
      for (let at = 0; at < size; at += buffer.length) {
        context.look();
        const part = buffer.subarray(0, Math.min(buffer.length, size - at));
        readFully(fd, part, at);
        for (let offset = 0; offset < part.length; offset += pageSize) {
          const pgno = (at + offset) / pageSize + 1;
          if (pgno !== lock) encoder.page(pgno, part.subarray(offset, offset + pageSize));
        }
      }
    });
  } finally {
    closeSync(fd);
  }
}

function pages(
  { target, header }: BulkJobs["pages"]["job"],
  context: JobContext,
): Promise<BulkJobs["pages"]["result"]> {
  const { chunks } = context;
  return writeHashed(target, header, async (encoder) => {
    for (let piece = await chunks.next(0); piece !== undefined; piece = await chunks.next(0)) {
      context.look();
      for (const { pgno, data } of unpackedPages(piece, header.pageSize)) encoder.page(pgno, data);
    }
  });
}

async function writeHashed(
  path: string,
  header: LtxHeader,
  fill: (encoder: LtxStreamEncoder) => Promise<void> | void,
): Promise<BulkFile & { sha256: string }> {
  const hasher = new Bun.CryptoHasher("sha256");
  const length = await writeFile(path, async (write) => {
    const encoder = new LtxStreamEncoder(header, (bytes) => {
      hasher.update(bytes);
      write(bytes);
    });
    await fill(encoder);
    encoder.end();
    return encoder.length;
  });
  return { path, header, length, sha256: hasher.digest("base64url") };
}

function readFully(fd: number, target: Uint8Array, at: number): void {
  for (let done = 0; done < target.length;) {
    const read = readSync(fd, target, done, target.length - done, at + done);
    if (read === 0) throw new SystemError("internal", "Cannot encode a database: its file became shorter");
    done += read;
  }
}
