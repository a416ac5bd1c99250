/** Finds the route of a request; patterns are Hono's, compiled once. */
import { RegExpRouter } from "hono/router/reg-exp-router";
import { SmartRouter } from "hono/router/smart-router";
import { TrieRouter } from "hono/router/trie-router";
import type { FeatureRoute } from "./route.ts";

export interface RouteMatch {
  route: FeatureRoute;
  params: Record<string, string>;
}
export type RouteFinder = (method: string, path: string) => RouteMatch | undefined;

/** `path` is the raw, percent-encoded path of the URL. HEAD finds GET routes; a literal path wins over one with parameters. */
export function compileRoutes(routes: readonly FeatureRoute[]): RouteFinder {
  // Apart, because Hono's fast router cannot hold both at the same place of a path.
  const literal = new Map<string, RouteMatch>();
  const router = new SmartRouter<FeatureRoute>({ routers: [new RegExpRouter(), new TrieRouter()] });
  for (const route of routes) {
    if (/[:*]/.test(route.path)) router.add(route.method, route.path, route);
    else literal.set(`${route.method} ${route.path}`, { route, params: {} });
  }
  return (given, path) => {
    const method = given === "HEAD" ? "GET" : given;
    const exact = literal.get(`${method} ${path}`);
    if (exact !== undefined) return exact;
    const [handlers, stash] = router.match(method, path);
    const found = handlers[0];
    if (found === undefined) return undefined;
    const params: Record<string, string> = {};
    for (const name in found[1]) {
      const value = found[1][name];
      const raw = typeof value === "number" ? stash?.[value] : value;
      if (raw !== undefined) params[name] = decode(raw);
    }
    return { route: found[0], params };
  };
}

function decode(raw: string): string {
  if (!raw.includes("%")) return raw;
  try {
    return decodeURIComponent(raw);
  } catch {
    return raw;
  }
}
