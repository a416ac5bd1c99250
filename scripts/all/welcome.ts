import { isAbsolute, relative } from "node:path";

/** What `npm start` prints when everything serves. */
export function welcome(facts: {
  url: (name: string) => string;
  data: string;
  tokenFile: string;
  controlUrl: string;
  store: string;
  seconds: number;
  /** Only at the first start. */
  token?: string;
}): string {
  const { url } = facts;
  const data = shown(facts.data);
  const token =
    facts.token === undefined
      ? `  Operator token     kept in ${shown(facts.tokenFile)}`
      : `  Operator token     ${facts.token}   (shown once; kept in ${shown(facts.tokenFile)})`;
  const flag = data === "data" ? "" : ` --data ${data}`;
  return `
Manybase is up after ${facts.seconds.toFixed(1)} s. Everything is kept in ${data}, objects in ${facts.store}.

  Platform operators ${url("admin")}
  Customers          ${url("app")}
  Tenants            ${url("<tenant>")}
${token}

Create a first tenant and a superuser of it, in another terminal:

  npx bun run manybase tenants create acme${flag}
  npx bun run manybase tenants superuser acme me@example.com a-good-password${flag}
  curl ${url("acme")}/api/health

A second worker: npx bun run worker --listen 127.0.0.1:0 --worker-data ${data}/worker2 --data ${data} --control ${facts.controlUrl}
Ctrl-C stops everything.
`;
}

/** Relative to where the person stands, unless it is elsewhere. */
function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") || isAbsolute(short) ? path : short;
}
