import type { Revision, Slug } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Route, RouteChange, RouteSnapshot } from "../../shared/protocol/internal.ts";

/**
 * What this gateway believes of who serves whom. A hint, never trusted: a worker refuses what it does not own. An entry changes
 * only to a newer revision, so that a late answer cannot undo a newer one.
 */
export class RouteTable {
  #routes = new Map<string, Route>();
  #revision = 0 as Revision;

  /** Every change up to this revision has been applied. */
  get revision(): Revision {
    return this.#revision;
  }

  get size(): number {
    return this.#routes.size;
  }

  find(slug: Slug): Route | undefined {
    return this.#routes.get(slug);
  }

  replaceAll({ revision, routes }: RouteSnapshot): void {
    this.#routes = new Map(routes.slice(0, limits.routesMax).map((route) => [route.slug, route]));
    this.#revision = revision;
  }

  apply(revision: Revision, changes: readonly RouteChange[]): void {
    for (const change of changes) {
      if ("deleted" in change) this.#routes.delete(change.slug);
      else this.learn(change);
    }
    if (revision > this.#revision) this.#revision = revision;
  }

  /** The stream's history no longer reaches back this far: a snapshot is needed. What is known stays a hint. */
  forgetRevision(): void {
    this.#revision = 0 as Revision;
  }

  /** Takes a route that came by another way than the stream; the oldest entry makes room when the table is full. */
  learn(route: Route): void {
    const known = this.#routes.get(route.slug);
    if (known !== undefined && known.revision > route.revision) return;
    this.#routes.delete(route.slug);
    if (this.#routes.size >= limits.routesMax) {
      const [oldest] = this.#routes.keys();
      if (oldest !== undefined) this.#routes.delete(oldest);
    }
    this.#routes.set(route.slug, route);
  }
}
