import type { Revision, Slug, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Route, RouteChange, RouteSnapshot } from "../../shared/protocol/internal.ts";

export interface RouteTableOptions {
  /** How long a route is believed where no stream keeps the table current; without it, until the stream says otherwise. */
  lifeMs?: number;
  nowMs?: () => number;
}

/**
 * What this gateway believes of who serves whom. A hint, never trusted: a worker refuses what it does not own. An entry changes
 * only to a newer revision, so that a late answer cannot undo a newer one.
 */
export class RouteTable {
  #routes = new Map<string, Route>();
  #slugs = new Map<string, Slug>();
  /** Verified custom host names. */
  #hosts = new Map<string, Slug>();
  #revision = 0 as Revision;
  #changes = 0;
  readonly #lifeMs: number | undefined;
  readonly #nowMs: () => number;
  readonly #learnedMs = new WeakMap<Route, number>();

  constructor({ lifeMs, nowMs = () => performance.now() }: RouteTableOptions = {}) {
    this.#lifeMs = lifeMs;
    this.#nowMs = nowMs;
  }

  /** Every change up to this revision has been applied. */
  get revision(): Revision {
    return this.#revision;
  }

  get size(): number {
    return this.#routes.size;
  }

  /** Grows with every change: what a copy compares. */
  get changes(): number {
    return this.#changes;
  }

  all(): Route[] {
    return [...this.#routes.values()];
  }

  find(slug: Slug): Route | undefined {
    const route = this.#routes.get(slug);
    if (route === undefined || this.#lifeMs === undefined) return route;
    const learnedMs = this.#learnedMs.get(route) ?? Number.NEGATIVE_INFINITY;
    return this.#nowMs() < learnedMs + this.#lifeMs ? route : undefined;
  }

  /** Only of tenants that are in the table. */
  findSlug(tenant: TenantId): Slug | undefined {
    return this.#slugs.get(tenant);
  }

  /** The tenant whose own host name this is, as far as its route is believed. */
  findHost(host: string): Slug | undefined {
    const slug = this.#hosts.get(host);
    return slug === undefined || this.find(slug) === undefined ? undefined : slug;
  }

  /** As `findHost`, also past its life. */
  findStaleHost(host: string): Slug | undefined {
    return this.#hosts.get(host);
  }

  /** Also a route that is past its life: better than none while control cannot be asked. */
  findStale(slug: Slug): Route | undefined {
    return this.#routes.get(slug);
  }

  replaceAll({ revision, routes }: RouteSnapshot): void {
    this.#changes += 1;
    this.#routes = new Map(routes.slice(0, limits.routesMax).map((route) => [route.slug, route]));
    this.#slugs = new Map(routes.slice(0, limits.routesMax).map(({ tenant, slug }) => [tenant, slug]));
    this.#hosts = new Map();
    for (const route of this.#routes.values()) this.#addHosts(route);
    this.#revision = revision;
  }

  /** Routes of an earlier life of this gateway: hints, until the first snapshot replaces them. */
  seed(routes: readonly Route[]): void {
    this.replaceAll({ revision: 0 as Revision, routes: [...routes] });
  }

  apply(revision: Revision, changes: readonly RouteChange[]): void {
    for (const change of changes) {
      if ("deleted" in change) this.drop(change.slug);
      else this.learn(change);
    }
    if (revision > this.#revision) this.#revision = revision;
  }

  /** The stream's history no longer reaches back this far: a snapshot is needed. What is known stays a hint. */
  forgetRevision(): void {
    this.#revision = 0 as Revision;
  }

  drop(slug: Slug): void {
    const route = this.#routes.get(slug);
    if (route === undefined) return;
    this.#routes.delete(slug);
    this.#slugs.delete(route.tenant);
    this.#removeHosts(route);
    this.#changes += 1;
  }

  /** Takes a route that came by another way than the stream; the oldest entry makes room when the table is full. */
  learn(route: Route): void {
    const known = this.#routes.get(route.slug);
    if (known !== undefined && known.revision > route.revision) return;
    this.#changes += 1;
    this.#routes.delete(route.slug);
    if (known !== undefined) this.#removeHosts(known);
    if (this.#routes.size >= limits.routesMax) {
      const [oldest] = this.#routes.keys();
      if (oldest !== undefined) this.drop(oldest as Slug);
    }
    this.#routes.set(route.slug, route);
    this.#slugs.set(route.tenant, route.slug);
    this.#addHosts(route);
    if (this.#lifeMs !== undefined) this.#learnedMs.set(route, this.#nowMs());
  }

  #addHosts({ slug, domains }: Route): void {
    for (const host of domains ?? []) this.#hosts.set(host, slug);
  }

  /** A name that went to another tenant stays that one's, whichever change came first. */
  #removeHosts({ slug, domains }: Route): void {
    for (const host of domains ?? []) if (this.#hosts.get(host) === slug) this.#hosts.delete(host);
  }
}
