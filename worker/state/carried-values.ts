import { limits } from "../../shared/limits.ts";
import type { CarriedState } from "../../shared/protocol/internal.ts";

/** One of them, to whoever counts. */
export interface CarriedValue {
  /** What the owner before had saved. */
  readonly given: string | undefined;
  /** `save` would say something else now. Cheap. */
  readonly changed: () => void;
}

/** Small values that a tenant takes along from owner to owner; see DESIGN.md. Costs nothing for a tenant that carries none. */
export class CarriedValues {
  readonly #given: CarriedState;
  readonly #saves = new Map<string, () => string | undefined>();
  readonly #changed: () => void;

  constructor(given: CarriedState = {}, changed: () => void = () => {}) {
    this.#given = given;
    this.#changed = changed;
  }

  /** @throws RangeError when a name is taken or there are too many: both are mistakes of the code */
  carry(name: string, save: () => string | undefined): CarriedValue {
    if (this.#saves.has(name) || this.#saves.size >= limits.carriedValuesMax) {
      throw new RangeError(`Cannot carry ${name}: it is carried already, or too much is`);
    }
    this.#saves.set(name, save);
    return { given: this.#given[name], changed: this.#changed };
  }

  /** What nobody here has asked for stays what it was. A value that is too long is left out. */
  collect(): { carried?: CarriedState } {
    const carried: CarriedState = {};
    const names = new Set([...this.#saves.keys(), ...Object.keys(this.#given)]);
    for (const name of [...names].slice(0, limits.carriedValuesMax)) {
      const save = this.#saves.get(name);
      const value = save === undefined ? this.#given[name] : save();
      if (value !== undefined && value !== "" && value.length <= limits.carriedValueCharactersMax) {
        carried[name] = value;
      }
    }
    return Object.keys(carried).length === 0 ? {} : { carried };
  }
}
