/** `members.json` in the log's directory: the identity of this directory, and of those that other members had when they were met. */
import { SystemError } from "../../../shared/errors.ts";
import type { Disk } from "../log/disk.ts";

const FILE = "members.json";

interface Stored {
  instance: string;
  others: Record<string, string>;
}

export class Identities {
  /** Of this directory. */
  readonly instance: string;
  readonly #disk: Disk;
  /** As they are on disk. */
  #others: Stored["others"];
  #changing: Promise<void> = Promise.resolve();

  private constructor(disk: Disk, { instance, others }: Stored) {
    this.#disk = disk;
    this.instance = instance;
    this.#others = others;
  }

  /** Makes an identity for a directory that has none. */
  static async open(disk: Disk, newInstance: () => string): Promise<Identities> {
    if ((await disk.list()).includes(FILE)) {
      const text = new TextDecoder().decode(await disk.read(FILE));
      return new Identities(disk, JSON.parse(text) as Stored);
    }
    const made = new Identities(disk, { instance: newInstance(), others: {} });
    await made.#write({});
    return made;
  }

  /**
   * A member that comes back without its log has forgotten votes and entries that it acknowledged: it must not count again.
   * @throws SystemError `control_rolled_back`
   */
  check(id: string, instance: string): void {
    const known = this.#others[id];
    if (known === undefined || known === instance) return;
    throw new SystemError(
      "control_rolled_back",
      `Cannot accept member ${id}: its data directory is not the one that it had before`,
      {
        hint: `Start ${id} on its old directory; when that is lost or two members have this id, remove it from the cluster and add one with a new id.`,
      },
    );
  }

  /** Resolves when it is on disk. What cannot be written does not count. @throws as `check`: another may have come first */
  remember(id: string, instance: string): Promise<void> {
    return this.#change((others) => {
      this.check(id, instance);
      return { ...others, [id]: instance };
    });
  }

  /** A removed member's id may be used again. */
  keepOnly(ids: ReadonlySet<string>): Promise<void> {
    return this.#change((others) => Object.fromEntries(Object.entries(others).filter(([id]) => ids.has(id))));
  }

  /** One after the other; after one that failed the next is tried all the same. */
  #change(next: (others: Stored["others"]) => Stored["others"]): Promise<void> {
    this.#changing = this.#changing
      .catch(() => undefined)
      .then(async () => {
        const others = next(this.#others);
        if (Bun.deepEquals(others, this.#others)) return;
        await this.#write(others);
        this.#others = others;
      });
    return this.#changing;
  }

  async #write(others: Stored["others"]): Promise<void> {
    const file = await this.#disk.open(`${FILE}.tmp`);
    const bytes = new TextEncoder().encode(JSON.stringify({ instance: this.instance, others }));
    try {
      await file.truncate(0);
      await file.write(bytes, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#disk.rename(`${FILE}.tmp`, FILE);
    await this.#disk.syncDirectory();
  }
}
