/** Patterns of field options are RE2 texts; the common part of both languages is run by the JavaScript engine. */
import { LRUCache } from "lru-cache";
import { limits } from "../../../shared/limits.ts";

const compiled = new LRUCache<string, RegExp>({ max: limits.patternCacheMax });

/** @throws SyntaxError for a pattern that neither engine would take */
export function compilePattern(source: string): RegExp {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  const flags = /^\(\?([ims]+)\)/.exec(source);
  const body = (flags === null ? source : source.slice(flags[0].length))
    .replaceAll("\\A", "^")
    .replaceAll("\\z", "$")
    .replaceAll("[[:alnum:]]", "[0-9A-Za-z]")
    .replaceAll("[[:alpha:]]", "[A-Za-z]")
    .replaceAll("[[:digit:]]", "[0-9]")
    .replaceAll("(?P<", "(?<");
  const pattern = withUnicode(body, flags?.[1] ?? "");
  compiled.set(source, pattern);
  return pattern;
}

/** Unicode mode counts code points as RE2 does, but refuses needless escapes such as `\-`; those run without it. */
function withUnicode(body: string, flags: string): RegExp {
  try {
    return new RegExp(body, `${flags}u`);
  } catch {
    return new RegExp(body, flags);
  }
}
