/** Dates in PocketBase's one text form, `2006-01-02 15:04:05.000Z`; "" is no date. */

const CANONICAL = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{3}Z$/;
/** Go's zero time, which PocketBase takes for no date. */
const ZERO_TIME = "0001-01-01 00:00:00.000Z";
const ISO =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))? ?(Z|[+-]\d{2}:?\d{2}(?: [A-Z]{3,5})?)?)?$/;

export function nowText(): string {
  return dateText(new Date());
}

export function dateText(date: Date): string {
  return date.toISOString().replace("T", " ");
}

/** A stored date: nearly always canonical, which is told without parsing it. */
export function storedDateText(stored: unknown): string {
  const isCanonical =
    typeof stored === "string" &&
    stored.length === 24 &&
    stored.charCodeAt(10) === 32 &&
    stored.charCodeAt(19) === 46 &&
    stored.charCodeAt(23) === 90;
  return isCanonical ? stored : parseDateText(stored);
}

/** The canonical text of any date that PocketBase's parser reads; "" for anything else. */
export function parseDateText(raw: unknown): string {
  if (typeof raw !== "string" || raw === "") return "";
  const match = ISO.exec(raw);
  if (match === null) return namedMonth(raw);
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0));
  const ms = Number(`${match[7] ?? ""}000`.slice(0, 3));
  const date = new Date(0);
  date.setUTCFullYear(year ?? 0, (month ?? 1) - 1, day ?? 1);
  date.setUTCHours(hour ?? 0, minute ?? 0, second ?? 0, ms);
  const inRange =
    date.getUTCMonth() === (month ?? 1) - 1 &&
    date.getUTCDate() === day &&
    date.getUTCHours() === hour &&
    date.getUTCMinutes() === minute &&
    date.getUTCSeconds() === second;
  if (!inRange) return "";
  if (CANONICAL.test(raw)) return raw === ZERO_TIME ? "" : raw;
  return canonical(new Date(date.getTime() - offsetMs(match[8])));
}

function offsetMs(zone: string | undefined): number {
  if (zone === undefined || zone === "Z") return 0;
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(3).replace(":", "").slice(0, 2))];
  return (zone.startsWith("-") ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

/** `02 Jan 2006` and the mail and log forms (`Mon, 02 Jan 2006 15:04:05 GMT`). */
function namedMonth(raw: string): string {
  if (!/^(?:[A-Z][a-z]{2,8},? )?(?:\d{1,2}[ -][A-Z][a-z]{2}[ -]\d{2,4}|[A-Z][a-z]{2} +\d{1,2} )/.test(raw))
    return "";
  const zoned = /(?:[A-Z]{3,4}|[+-]\d{4})(?: \d{4})?$/.test(raw) ? raw : `${raw} UTC`;
  return canonical(new Date(zoned));
}

function canonical(date: Date): string {
  const ms = date.getTime();
  if (Number.isNaN(ms) || date.getUTCFullYear() < 0 || date.getUTCFullYear() > 9999) return "";
  const text = dateText(date);
  return text === ZERO_TIME ? "" : text;
}
