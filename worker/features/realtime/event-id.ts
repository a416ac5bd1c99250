/**
 * Ids of events: 30 characters that name the client and 10 digits (base 62) of a journal position. That of PB_CONNECT is the client's
 * id, as PocketBase's SDKs expect; any later one names the same client.
 */
import { randomText } from "../../../shared/ids.ts";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const NAME_CHARACTERS = 30;
const EVENT_ID = /^[0-9A-Za-z]{40}$/;

export const newClientName = (): string => randomText(NAME_CHARACTERS, DIGITS);

/** @param position - 0 when there is none */
export function eventId(name: string, position: number): string {
  let digits = "";
  for (let rest = position; rest > 0; rest = Math.floor(rest / 62)) digits = `${DIGITS[rest % 62]}${digits}`;
  return name + digits.padStart(10, "0");
}

/** Undefined for what is no id of ours. */
export function parseEventId(id: string): { name: string; position: number } | undefined {
  if (!EVENT_ID.test(id)) return undefined;
  let position = 0;
  for (const digit of id.slice(NAME_CHARACTERS)) position = position * 62 + DIGITS.indexOf(digit);
  return { name: id.slice(0, NAME_CHARACTERS), position };
}
