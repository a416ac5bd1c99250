import { UserError } from "../../../shared/errors.ts";
import { type Generation, type WalSegment, listGenerations, readFrame } from "./generation.ts";
import { PageFile } from "./page-file.ts";
import { WalDecoder } from "./wal-file.ts";

export interface GenerationRestore {
  generation: string;
  /** All others of the replica, newest first. */
  others: string[];
  snapshots: number;
  segments: number;
  transactions: number;
}

/**
 * Builds a database from a replica of Litestream 0.3: the newest snapshot of the newest (or the named) generation, then every
 * transaction of the WALs after it. Stricter than Litestream, which ends in silence at the first segment that is missing:
 * indexes and offsets must follow each other, and every frame's salt and checksum must be right.
 *
 * @throws UserError `invalid_directory`, `not_found` for a generation that is not there
 */
export async function restoreGeneration(
  directory: string,
  target: string,
  wanted?: string,
): Promise<GenerationRestore> {
  const generations = await listGenerations(directory);
  const generation = choose(directory, generations, wanted);
  const snapshot = generation.snapshots.at(-1);
  if (snapshot === undefined) throw refused(generation, "it has no snapshot");
  const wals = walsAfter(generation, snapshot.index);
  const image = await readFrame(snapshot.path);
  const file = new PageFile(target);
  let transactions = 0;
  try {
    file.image(image);
    for (const segments of wals) transactions += await applyWal(file, generation, segments, image);
  } finally {
    file.close();
  }
  return {
    generation: generation.name,
    others: generations.filter((one) => one !== generation).map(({ name }) => name),
    snapshots: generation.snapshots.length,
    segments: wals.flat().length,
    transactions,
  };
}

function choose(directory: string, generations: readonly Generation[], wanted?: string): Generation {
  const [newest] = generations;
  if (newest === undefined) {
    throw new UserError("invalid_directory", `Cannot import ${directory}: it has no generations`);
  }
  if (wanted === undefined) return newest;
  const found = generations.find(({ name }) => name === wanted);
  if (found === undefined) {
    throw new UserError("not_found", `Cannot import generation ${wanted}: there is none of that name`, {
      hint: `There are: ${generations.map(({ name }) => name).join(", ")}.`,
    });
  }
  return found;
}

/** Segments from the snapshot's index on, by index: none may be missing in between. */
function walsAfter(generation: Generation, from: number): WalSegment[][] {
  const wals: WalSegment[][] = [];
  for (const segment of generation.segments) {
    if (segment.index < from) continue;
    const expected = from + wals.length;
    if (segment.index === expected - 1) wals.at(-1)?.push(segment);
    else if (segment.index === expected) wals.push([segment]);
    else throw refused(generation, `the WAL of index ${expected.toString(16)} is missing`);
  }
  return wals;
}

async function applyWal(
  file: PageFile,
  generation: Generation,
  segments: readonly WalSegment[],
  image: Uint8Array,
): Promise<number> {
  const index = segments[0]?.index.toString(16) ?? "";
  const wal = new WalDecoder(`generation ${generation.name}, WAL ${index}`);
  let end = 0;
  let transactions = 0;
  for (const segment of segments) {
    if (segment.offset !== end) {
      throw refused(generation, `WAL ${index} lacks the segment at offset ${end.toString(16)}`);
    }
    const bytes = await readFrame(segment.path);
    end += bytes.length;
    const commits = wal.push(bytes);
    checkPageSize(generation, image, wal.pageSize);
    for (const { commit, pages } of commits) {
      file.apply(wal.pageSize as unknown as number, commit, pages);
      transactions++;
    }
  }
  wal.end();
  return transactions;
}

function checkPageSize(generation: Generation, image: Uint8Array, pageSize: number | undefined): void {
  if (pageSize === undefined || image.length < 100) return;
  const raw = ((image[16] as number) << 8) | (image[17] as number);
  if ((raw === 1 ? 65_536 : raw) !== pageSize) {
    throw refused(generation, "its snapshot and its WAL have other page sizes");
  }
}

const refused = (generation: Generation, state: string): UserError =>
  new UserError("invalid_directory", `Cannot import generation ${generation.name}: ${state}`, {
    hint: "Changes would be lost in silence. Copy the replica again, or take another generation (--generation).",
  });
