/** What PocketBase says of a cron expression that it cannot use; undefined for one that it can. */
const SEGMENTS = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 6],
] as const;
const MACROS = new Set(["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"]);

export function cronError(expression: string): string | undefined {
  if (MACROS.has(expression)) return undefined;
  const segments = expression.split(" ");
  if (segments.length !== SEGMENTS.length) {
    return "Invalid cron expression - must be a valid macro or to have exactly 5 space separated segments.";
  }
  for (const [index, [min, max]] of SEGMENTS.entries()) {
    for (const part of (segments[index] ?? "").split(",")) {
      const error = partError(part, min, max);
      if (error !== undefined) return error;
    }
  }
  return undefined;
}

function partError(part: string, min: number, max: number): string | undefined {
  const [range = "", step, ...rest] = part.split("/");
  if (rest.length > 0) return "Invalid segment step format - must be in the format */n or 1-30/n.";
  if (step !== undefined) {
    if (!isInteger(step)) return notInteger(step);
    if (Number(step) < 1 || Number(step) > max)
      return `Invalid segment step boundary - the step must be between 1 and the ${max}.`;
  }
  if (range === "*") return undefined;
  const [from = "", to, ...more] = range.split("-");
  if (more.length > 0) return "Invalid segment range format - the range must have 1 or 2 parts.";
  if (to === undefined && Number(step ?? 1) > 1)
    return "Invalid segment step - step > 1 could be used only with the wildcard or range format.";
  if (!isInteger(from)) return notInteger(from);
  if (to === undefined) {
    return isBetween(from, min, max)
      ? undefined
      : "Invalid segment value - must be between the min and max of the segment.";
  }
  if (!isBetween(from, min, max)) return `Invalid segment range minimum - must be between ${min} and ${max}.`;
  if (!isInteger(to)) return notInteger(to);
  return isBetween(to, Number(from), max)
    ? undefined
    : `Invalid segment range maximum - must be between ${from} and ${max}.`;
}

const isInteger = (text: string): boolean => /^[+-]?\d+$/.test(text);
const isBetween = (text: string, min: number, max: number): boolean =>
  Number(text) >= min && Number(text) <= max;
const notInteger = (text: string): string => `Strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax.`;
