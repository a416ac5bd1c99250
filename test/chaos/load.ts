import type PocketBase from "pocketbase";
import type { ClientResponseError } from "pocketbase";

const PAUSE_MS = 25;
const PAGE = 500;

/** What users of one tenant did, and what they were told. */
export interface Tally {
  acknowledged: number;
  open: number;
  refused: number;
  reads: number;
  /** Promises that were broken. */
  violations: string[];
}

/** Users of one tenant who create records by the SDK, one after the other, and read back what they were told is kept. */
export class TenantLoad {
  readonly #client: PocketBase;
  readonly #slug: string;
  readonly #acknowledged = new Set<string>();
  /** Their fate is unknown. */
  readonly #open = new Set<string>();
  readonly #violations: string[] = [];
  readonly #running: Promise<void>[] = [];
  /** When the newest create was acknowledged. */
  lastAcknowledgedMs = 0;
  #refused = 0;
  #reads = 0;
  #next = 0;
  #stopped = false;

  constructor(slug: string, client: PocketBase) {
    this.#slug = slug;
    this.#client = client;
  }

  start(users: number): void {
    for (let i = 0; i < users; i++) this.#running.push(this.#use());
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  get refused(): number {
    return this.#refused;
  }

  /** Ends the load and compares what is there with what was told. */
  async finish(): Promise<Tally> {
    this.#stopped = true;
    await Promise.all(this.#running);
    const records = await this.#client.collection("notes").getFullList({ batch: PAGE });
    const kept = records.map(({ id }) => id);
    const there = new Set(kept);
    if (there.size !== kept.length) this.#violations.push(`${this.#slug} lists a record twice`);
    for (const id of this.#acknowledged) {
      if (!there.has(id)) this.#violations.push(`${this.#slug} lost ${id}, which was acknowledged`);
    }
    for (const id of there) {
      if (!this.#acknowledged.has(id) && !this.#open.has(id))
        this.#violations.push(`${this.#slug} has ${id}, which was refused`);
    }
    return {
      acknowledged: this.#acknowledged.size,
      open: this.#open.size,
      refused: this.#refused,
      reads: this.#reads,
      violations: this.#violations,
    };
  }

  async #use(): Promise<void> {
    while (!this.#stopped) {
      const n = this.#next++;
      const id = `note${String(n).padStart(11, "0")}`;
      if (await this.#create(id, n)) await this.#readBack(id);
      else await Bun.sleep(PAUSE_MS);
    }
  }

  async #create(id: string, n: number): Promise<boolean> {
    try {
      await this.#client.collection("notes").create({ id, n });
      this.#acknowledged.add(id);
      this.lastAcknowledgedMs = performance.now();
      return true;
    } catch (error) {
      const { status } = error as ClientResponseError;
      // A worker that died, or a store that did not answer: nobody was told that it is kept, nor that it is not.
      this.#open.add(id);
      this.#refused++;
      if (![0, 500, 502, 503, 504].includes(status))
        this.#violations.push(`${this.#slug} answered ${status} to create ${id}`);
      return false;
    }
  }

  /** Whoever was told that a record is kept finds it, whichever worker answers. */
  async #readBack(id: string): Promise<void> {
    try {
      await this.#client.collection("notes").getOne(id);
      this.#reads++;
    } catch (error) {
      const { status } = error as ClientResponseError;
      if (status === 404) this.#violations.push(`${this.#slug} does not find ${id} any more`);
    }
  }
}
