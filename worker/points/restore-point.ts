import { join } from "node:path";
import type { DatabaseName } from "../../shared/ids.ts";
import type { Point } from "../../shared/protocol/points.ts";
import { type FindOptions, type FoundPoint, findPoint } from "./find-point.ts";
import { type PointSource, writePoint } from "./write-point.ts";

/**
 * Writes the database files of a tenant as of a point into a directory, from the objects under its prefix alone.
 *
 * @param only - which databases; all that the point has when not given @returns the point, with the paths of what was written
 * @throws UserError `point_not_found`; what `writePoint` throws
 */
export async function restorePoint(
  options: FindOptions & PointSource & { directory: string; only?: (name: DatabaseName) => boolean },
  at: Point | undefined,
): Promise<FoundPoint & { paths: Map<DatabaseName, string> }> {
  const { directory, only } = options;
  const found = await findPoint(options, at);
  const paths = new Map<DatabaseName, string>();
  for (const [name, { steps }] of found.databases) {
    if (only !== undefined && !only(name)) continue;
    const path = join(directory, name);
    await writePoint(options, steps, path);
    paths.set(name, path);
  }
  return { ...found, paths };
}
