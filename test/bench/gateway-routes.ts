/**
 * How long the gateway needs to find a request's route: `bun test/bench/gateway-routes.ts [--routes 100000]`, also on Deno. Prints
 * nanoseconds a lookup by slug and by custom domain, from a Host header to the route, beside a bare Map of the same size.
 */
import { readHost } from "../../gateway/host.ts";
import { RouteTable } from "../../gateway/routes/route-table.ts";
import { type Route, routeSchema } from "../../shared/protocol/internal.ts";

const at = process.argv.indexOf("--routes");
const COUNT = at < 0 ? 100_000 : Number(process.argv[at + 1]);
const LOOKUPS = 1_000_000;

const template = routeSchema.parse({
  tenant: "a".repeat(15),
  slug: "a",
  state: "active",
  suspended: false,
  epoch: 1,
  revision: 1,
  worker: { incarnation: 1, url: "http://127.0.0.1:1" },
});
const routes = Array.from({ length: COUNT }, (_, i): Route => {
  const slug = `tenant-${i}` as Route["slug"];
  return {
    ...template,
    tenant: `t${String(i).padStart(14, "0")}` as Route["tenant"],
    slug,
    domains: [`www.shop-${i}.example`],
  };
});
const table = new RouteTable();
table.replaceAll({ revision: template.revision, routes });
const bare = new Map(routes.map((route) => [route.slug as string, route]));
// In an order that no cache of the processor likes.
const order = Array.from({ length: 65_536 }, () => Math.floor(Math.random() * COUNT));
const slugs = order.map((i) => `tenant-${i}`);
const hosts = order.map((i) => `tenant-${i}.example.com:443`);
const own = order.map((i) => `www.shop-${i}.example`);

const find = (host: string): Route | undefined => {
  const meaning = readHost(host, "example.com");
  if (meaning.kind === "tenant") return table.find(meaning.slug);
  const slug = meaning.kind === "foreign" ? table.findHost(meaning.name) : undefined;
  return slug === undefined ? undefined : table.find(slug);
};
const measure = (
  name: string,
  names: readonly string[],
  look: (name: string) => Route | undefined,
): number => {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    let found = 0;
    const startedMs = performance.now();
    for (let i = 0; i < LOOKUPS; i++) if (look(names[i & 65_535] ?? "") !== undefined) found += 1;
    const spentMs = performance.now() - startedMs;
    if (found !== LOOKUPS) throw new Error(`Cannot measure ${name}: ${found} of ${LOOKUPS} found`);
    best = Math.min(best, spentMs);
  }
  return (best / LOOKUPS) * 1e6;
};
const reference = measure("a bare map", slugs, (name) => bare.get(name));
for (const [name, ns] of [
  ["a bare map", reference],
  ["Host to route, by slug", measure("slug", hosts, find)],
  ["Host to route, own domain", measure("domain", own, find)],
] as const) {
  console.log(
    `${name.padEnd(26)} ${ns.toFixed(0).padStart(6)} ns  ${(ns / reference).toFixed(1)}x of a bare map, ${COUNT} routes`,
  );
}
