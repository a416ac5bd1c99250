/** Dates in PocketBase's one text form, `2006-01-02 15:04:05.000Z`; "" is no date. */

const CANONICAL = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{3}Z$/;
/** Go's zero time, which PocketBase takes for no date. */
const ZERO_TIME = "0001-01-01 00:00:00.000Z";
const ISO =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d+))?(Z| ?[+-]\d{2}:?\d{2}(?: [A-Z]{3,5})?)?)?$/;

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
  return offsetOf(zone.trim());
}

function offsetOf(zone: string): number {
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(3).replace(":", "").slice(0, 2))];
  return (zone.startsWith("-") ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

const DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const LONG_DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)";
const MONTH = "(?<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
const CLOCK = "(?<hour>\\d{1,2}):(?<minute>\\d{2}):(?<second>\\d{2})(?:[.,](?<fraction>\\d+))?";
const OFFSET = "(?<offset>[+-]\\d{4})";
/** A name of a zone says nothing in Go, but where it is the server's own. */
const ZONE = "(?:[A-Z]{3,4}|[A-Z]{4}T)";

/** RFC 1123, 822 and 850, C's `asctime` with and without a zone, Ruby's, a day alone, a time of day, and a stamp of a log. */
const NAMED = [
  `${DAY}, (?<day>\\d{2}) ${MONTH} (?<year>\\d{4}) ${CLOCK} (?:${OFFSET}|${ZONE})`,
  `(?<day>\\d{2}) ${MONTH} (?<year>\\d{2}) (?<hour>\\d{1,2}):(?<minute>\\d{2}) (?:${OFFSET}|${ZONE})`,
  `${LONG_DAY}, (?<day>\\d{2})-${MONTH}-(?<year>\\d{2}) ${CLOCK} ${ZONE}`,
  `${DAY} ${MONTH}  ?(?<day>\\d{1,2}) ${CLOCK} (?:${ZONE} |${OFFSET} )?(?<year>\\d{4})`,
  `(?<day>\\d{2}) ${MONTH} (?<year>\\d{4})`,
  `(?<hour>\\d{1,2}):(?<minute>\\d{2})(?<half>AM|PM)`,
  `${MONTH}  ?(?<day>\\d{1,2}) ${CLOCK}`,
].map((form) => new RegExp(`^${form}$`, "i"));

const MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec";

/** The forms with names in them; without a year it is year 0. */
function namedMonth(raw: string): string {
  const found = NAMED.map((form) => form.exec(raw)?.groups).find((groups) => groups !== undefined);
  if (found === undefined) return "";
  const part = (name: string): number => Number(found[name] ?? 0);
  const month = MONTHS.indexOf((found["month"] ?? "jan").toLowerCase()) / 3;
  const short = found["year"]?.length === 2 ? (part("year") >= 69 ? 1900 : 2000) : 0;
  const day = found["day"] === undefined ? 1 : part("day");
  let hour = part("hour");
  if (found["half"] !== undefined) {
    if (hour > 12 || found["half"] !== found["half"].toUpperCase()) return "";
    hour = (hour % 12) + (found["half"] === "PM" ? 12 : 0);
  }
  const date = new Date(0);
  date.setUTCFullYear(short + part("year"), month, day);
  if (date.getUTCDate() !== day || hour > 23 || part("minute") > 59 || part("second") > 59) return "";
  date.setUTCHours(hour, part("minute"), part("second"), Number(`${found["fraction"] ?? ""}000`.slice(0, 3)));
  return canonical(new Date(date.getTime() - offsetMs(found["offset"])));
}

function canonical(date: Date): string {
  const ms = date.getTime();
  if (Number.isNaN(ms) || date.getUTCFullYear() < 0 || date.getUTCFullYear() > 9999) return "";
  const text = dateText(date);
  return text === ZERO_TIME ? "" : text;
}
