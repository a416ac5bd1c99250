/** What an OLE file is (the older Office documents), told as PocketBase tells it: by the class of its root, where that is near the beginning. */

/** PocketBase looks at no more of a file. */
const HEAD_BYTES = 3072;
const SECTOR_BYTES = 512;
const MAGIC = "d0cf11e0a1b11ae1";
const MICROSOFT = "0000000000c000000000000046";

const BY_CLASS: Readonly<Record<string, string>> = {
  [`060902${MICROSOFT}`]: "application/msword",
  [`000902${MICROSOFT}`]: "application/msword",
  [`070902${MICROSOFT}`]: "application/msword",
  [`100802${MICROSOFT}`]: "application/vnd.ms-excel",
  [`200802${MICROSOFT}`]: "application/vnd.ms-excel",
  "108d81649b4fcf1186ea00aa00b929e8": "application/vnd.ms-powerpoint",
  "70ae7bea3bfbcd11a90300aa00510ea3": "application/vnd.ms-powerpoint",
  [`0b0d02${MICROSOFT}`]: "application/vnd.ms-outlook",
  [`84100c${MICROSOFT}`]: "application/x-ms-installer",
};
/** How the first sector of a workbook begins. */
const WORKBOOK = /^(?:0908100000060500|fdffffff(?:10|1f|22|23|28|29))/;

/** Undefined for what is no OLE file, and for one whose class is not known. */
export function sniffOle(head: Uint8Array): string | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, HEAD_BYTES));
  const hex = (at: number, length: number): string => bytes.toString("hex", at, at + length);
  if (bytes.length < SECTOR_BYTES || hex(0, 8) !== MAGIC) return undefined;
  const root = SECTOR_BYTES * (1 + bytes.readUInt32LE(48)) + 80;
  const hasSmallSectors = bytes.readUInt16LE(26) !== 4;
  const known = hasSmallSectors && root < bytes.length ? BY_CLASS[hex(root, 16)] : undefined;
  return known ?? (WORKBOOK.test(hex(SECTOR_BYTES, 8)) ? "application/vnd.ms-excel" : undefined);
}
