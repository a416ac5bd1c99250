import { closeSync, openSync } from "node:fs";
import { asDiskFull } from "../disk-full.ts";
import { writeAll } from "../database-file.ts";

/** Has `fill` write a new file, of known content only when that returns. @throws SystemError `disk_full` */
export async function writeFile<T>(
  path: string,
  fill: (write: (bytes: Uint8Array) => void) => Promise<T> | T,
): Promise<T> {
  let fd: number;
  try {
    fd = openSync(path, "w");
  } catch (error) {
    throw asDiskFull(error, "write a file of a tenant");
  }
  let at = 0;
  try {
    return await fill((bytes) => {
      writeAll(fd, bytes, at);
      at += bytes.length;
    });
  } finally {
    closeSync(fd);
  }
}
