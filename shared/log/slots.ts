import { SystemError } from "../errors.ts";
import type { Incarnation, LogSeq } from "../ids.ts";
import { limits } from "../limits.ts";
import type { ObjectStore, RequestOptions } from "../objects/contract.ts";
import { logKey, logPrefix } from "../objects/layout.ts";
import { decodeLogHeader } from "./decode.ts";
import { LOG_HEADER_BYTES, type LogHeader } from "./log.ts";

/** One incarnation's log as its slots in the object store. */
export interface LogSlots {
  store: ObjectStore;
  incarnation: Incarnation;
}

/**
 * The header of one slot's object, by a small ranged GET; undefined when the slot is empty.
 *
 * @throws SystemError `object_foreign` when the object belongs to another slot or log, `object_corrupt`, `object_version`, or the store's
 */
export async function readSlot(
  { store, incarnation }: LogSlots,
  seq: LogSeq,
  options?: RequestOptions,
): Promise<LogHeader | undefined> {
  const key = logKey(incarnation, seq);
  const found = await store.range(key, { offset: 0, length: LOG_HEADER_BYTES }, options);
  if (found === undefined) return undefined;
  const header = decodeLogHeader(found.bytes);
  if (header.incarnation !== incarnation || header.seq !== seq) {
    throw new SystemError(
      "object_foreign",
      `Cannot use ${key}: it says that it is slot ${header.seq} of incarnation ${header.incarnation}`,
    );
  }
  return header;
}

/**
 * The highest occupied slot above `floor`, or `floor` itself when there is none: by one listing when that is enough, else by doubling
 * and bisection, since "is there anything above this slot" has one turning point even when the lower slots are gone.
 */
export async function highestSlot(slots: LogSlots, floor: LogSeq, options?: RequestOptions): Promise<LogSeq> {
  let low = floor;
  let page = await slotsAfter(slots, low, limits.storeListPage, options);
  low = page.last ?? low;
  if (!page.more) return low;
  let step = limits.storeListPage;
  let high = Number.MAX_SAFE_INTEGER;
  while (high - low > limits.storeListPage) {
    const middle = Math.min(low + step, low + Math.floor((high - low) / 2)) as LogSeq;
    const { last } = await slotsAfter(slots, middle, 1, options);
    if (last === undefined) high = middle;
    else low = last;
    step *= 2;
  }
  do {
    page = await slotsAfter(slots, low, limits.storeListPage, options);
    low = page.last ?? low;
  } while (page.more && page.last !== undefined && page.last <= high);
  return low;
}

const SLOT_NAME = /^([0-9a-f]{16})\.wlog$/;

/** One page of the listing after a slot; what is not named like a slot is not one. */
async function slotsAfter(
  { store, incarnation }: LogSlots,
  after: LogSeq,
  limit: number,
  options?: RequestOptions,
): Promise<{ last: LogSeq | undefined; more: boolean }> {
  const prefix = logPrefix(incarnation);
  const page = await store.list({ prefix, startAfter: logKey(incarnation, after), limit, ...options });
  let last: LogSeq | undefined;
  for (const { key } of page.objects) {
    const digits = SLOT_NAME.exec(key.slice(prefix.length))?.[1];
    if (digits !== undefined) last = Number.parseInt(digits, 16) as LogSeq;
  }
  return { last, more: page.next !== undefined };
}
