/** A realtime topic as a client subscribed to it: `posts/*?options={"query":{…},"headers":{…}}`. */
import { foldedValue } from "../../pb/form-body.ts";

export interface Topic {
  /** As subscribed: the name of the events that the client gets. */
  readonly name: string;
  /** Without options: what changes are matched against. */
  readonly base: string;
  /** The options' text: equal text means equal requests. */
  readonly rawOptions: string;
  readonly query: Readonly<Record<string, string>>;
  /** Names in lower snake case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Options that cannot be read are ignored, as PocketBase does. */
export function parseTopic(name: string): Topic {
  const mark = name.indexOf("?");
  if (mark < 0) return { name, base: name, rawOptions: "", query: {}, headers: {} };
  const base = name.slice(0, mark);
  const rawOptions = new URLSearchParams(name.slice(mark + 1)).get("options") ?? "";
  const options = parseOptions(rawOptions);
  const headers: Record<string, string> = {};
  for (const [key, value] of Object.entries(texts(foldedValue(options, "headers")))) {
    headers[key.toLowerCase().replaceAll("-", "_")] = value;
  }
  return { name, base, rawOptions, query: texts(foldedValue(options, "query")), headers };
}

function parseOptions(raw: string): Record<string, unknown> {
  if (raw === "") return {};
  try {
    const parsed: unknown = JSON.parse(raw);
    return isObject(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

/** Lists and objects have none. */
function texts(value: unknown): Record<string, string> {
  const result: Record<string, string> = {};
  if (!isObject(value)) return result;
  for (const [key, item] of Object.entries(value)) {
    result[key] = typeof item === "object" ? "" : `${item as string | number | boolean}`;
  }
  return result;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
