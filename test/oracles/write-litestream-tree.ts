import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hex16 } from "../../shared/ids.ts";
import { decodeLtxHeader } from "../../shared/ltx/decode.ts";

export interface LitestreamFile {
  /** 0..8 increments, 9 snapshots. */
  level: number;
  ltx: Uint8Array;
}

/**
 * Lays LTX files out as Litestream's own `file:` client expects them: `<directory>/ltx/<level>/<min>-<max>.ltx`, the level in decimal.
 * (Its S3 client, whose names our object store has, writes `<path>/<level:04x>/<min>-<max>.ltx`.)
 */
export async function writeLitestreamTree(directory: string, files: Iterable<LitestreamFile>): Promise<void> {
  for (const { level, ltx } of files) {
    const { minTxid, maxTxid } = decodeLtxHeader(ltx);
    const path = join(directory, "ltx", String(level), `${hex16(minTxid)}-${hex16(maxTxid)}.ltx`);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, ltx);
  }
}
