import type { Revision } from "../../shared/ids.ts";
import type { Kv } from "./contract.ts";
import type { Row } from "./remembered-results.ts";

/**
 * A row as engines keep it: JSON text. Never changed, so the state machine, the watch history and the tables that follow them share
 * one. `value` is parsed at each look: every reader gets a copy of its own, and a row that nobody looks at costs its text.
 */
export class TextKv implements Kv {
  readonly key: string;
  readonly text: string;
  readonly modRev: Revision;

  constructor(key: string, text: string, modRev: number) {
    this.key = key;
    this.text = text;
    this.modRev = modRev as Revision;
  }

  get value(): unknown {
    return JSON.parse(this.text) as unknown;
  }

  toJSON(): Kv {
    return { key: this.key, value: this.value, modRev: this.modRev };
  }
}

export function kvOf({ key, text, modRev }: Row): TextKv {
  return new TextKv(key, text, modRev);
}
