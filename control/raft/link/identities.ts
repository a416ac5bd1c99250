/** `members.json` in the log's directory: the identity of this directory, and of those that other members had when they were met. */
import { SystemError } from "../../../shared/errors.ts";
import type { Disk } from "../log/disk.ts";

const FILE = "members.json";

interface Stored {
  instance: string;
  others: Record<string, string>;
}

export class Identities {
  readonly #disk: Disk;
  readonly #stored: Stored;
  #writing: Promise<void> = Promise.resolve();

  private constructor(disk: Disk, stored: Stored) {
    this.#disk = disk;
    this.#stored = stored;
  }

  /** Makes an identity for a directory that has none. */
  static async open(disk: Disk, newInstance: () => string): Promise<Identities> {
    if ((await disk.list()).includes(FILE)) {
      const text = new TextDecoder().decode(await disk.read(FILE));
      return new Identities(disk, JSON.parse(text) as Stored);
    }
    const made = new Identities(disk, { instance: newInstance(), others: {} });
    await made.#write();
    return made;
  }

  get instance(): string {
    return this.#stored.instance;
  }

  /**
   * A member that comes back without its log has forgotten votes and entries that it acknowledged: it must not count again.
   * @throws SystemError `control_rolled_back`
   */
  check(id: string, instance: string): void {
    const known = this.#stored.others[id];
    if (known === undefined || known === instance) return;
    throw new SystemError(
      "control_rolled_back",
      `Cannot accept member ${id}: its data directory is not the one that it had before`,
      {
        hint: `Start ${id} on its old directory; when that is lost or two members have this id, remove it from the cluster and add one with a new id.`,
      },
    );
  }

  /** Resolves when it is on disk. */
  async remember(id: string, instance: string): Promise<void> {
    if (this.#stored.others[id] === instance) return;
    this.#stored.others[id] = instance;
    await this.#write();
  }

  /** A removed member's id may be used again. */
  async keepOnly(ids: ReadonlySet<string>): Promise<void> {
    const gone = Object.keys(this.#stored.others).filter((id) => !ids.has(id));
    if (gone.length === 0) return;
    for (const id of gone) delete this.#stored.others[id];
    await this.#write();
  }

  #write(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      const file = await this.#disk.open(`${FILE}.tmp`);
      const bytes = new TextEncoder().encode(JSON.stringify(this.#stored));
      try {
        await file.truncate(0);
        await file.write(bytes, 0);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#disk.rename(`${FILE}.tmp`, FILE);
      await this.#disk.syncDirectory();
    });
    return this.#writing;
  }
}
