/** Patterns of field options are RE2 texts, and matched as RE2 does: in time that grows with the text alone. */
import { LRUCache } from "lru-cache";
import { RE2JS, RE2JSSyntaxException } from "re2js";
import { limits } from "../../../shared/limits.ts";

type Matcher = (text: string) => boolean;
const compiled = new LRUCache<string, Matcher>({ max: limits.patternCacheMax });

/** One class and nothing else, as most ids and tokens have it: the engine's own is faster and cannot go astray. */
const PLAIN = /^\^\[\w+(?:-\w+)*\](?:\+|\*|\{\d{1,3}(?:,\d{0,3})?\})?\$$/;

/** A stored pattern that cannot be read matches nothing. */
export function matchesPattern(source: string, text: string): boolean {
  let matcher = compiled.get(source);
  if (matcher === undefined) {
    matcher = matcherOf(source);
    compiled.set(source, matcher);
  }
  return matcher(text);
}

function matcherOf(source: string): Matcher {
  if (patternError(source) !== undefined) return () => false;
  if (PLAIN.test(source)) {
    const native = new RegExp(source);
    return (text) => native.test(text);
  }
  const pattern = RE2JS.compile(source);
  return (text) => pattern.matcher(text).find();
}

/** What is wrong with a pattern, in the words of Go's parser; undefined for one that can be read. */
export function patternError(source: string): string | undefined {
  try {
    RE2JS.compile(source);
    return undefined;
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    const pattern = error.getPattern();
    return `error parsing regexp: ${error.getDescription()}: \`${pattern ?? ""}\``;
  }
}
