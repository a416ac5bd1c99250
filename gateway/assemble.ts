import { UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { followKeys } from "../shared/protocol/follow-keys.ts";
import { type Keyring, LiveKeyring, parseKeyring } from "../shared/protocol/keys.ts";
import { type Gateway, createGateway } from "./app.ts";
import { builtFiles } from "./dashboards/built-files.ts";
import { type DashboardFiles, filesInMemory } from "./dashboards/serve-file.ts";
import { asciiHost } from "./host.ts";
import { Http1Pool } from "./http1/pool.ts";
import { type Observer, accessLog, parseAccessLogLevel } from "./observe/access-log.ts";
import { type OPTIONS, parseCount, parseRate } from "./options.ts";
import { parseTrustedProxies } from "./proxy/trusted-proxies.ts";
import { RouteCopy } from "./routes/route-copy.ts";
import { RouteSource } from "./routes/route-source.ts";
import { RouteTable } from "./routes/route-table.ts";
import type { Runtime } from "./runtime.ts";

export type Values = Partial<Record<keyof typeof OPTIONS, string>>;
export type Log = (level: string, message: string) => void;

/** A gateway and what keeps it current. */
export interface Assembled {
  gateway: Gateway;
  source: RouteSource;
  copy: RouteCopy;
  /** Told of every request; more may be added. */
  observers: Observer[];
  /** Looks at the key file again; absent when the key came by the environment. */
  reload?: () => void;
}

/** Reads the key, the copy of the routes and the dashboards. @throws UserError for options and files that cannot be read */
export async function assemble(
  runtime: Runtime,
  values: Values,
  threads: number,
  log: Log,
): Promise<Assembled> {
  const controlUrl = values.control ?? "";
  const { keys, reload } = readKeys(runtime, `${values.data}/keys/gateway.key`, log);
  const table = new RouteTable();
  const source = new RouteSource(table, { controlUrl, keys });
  const routesFile = `${values.data}/gateway/routes.json`;
  const copy = new RouteCopy(
    table,
    { read: () => runtime.readText(routesFile), write: (text) => runtime.replaceText(routesFile, text) },
    controlUrl,
  );
  const unread = copy.load();
  if (unread !== undefined) log("warn", unread);
  const observers: Observer[] = [];
  const lines = accessLog(parseAccessLogLevel(values["access-log"]), (line) => runtime.complain(line));
  if (lines !== undefined) observers.push(lines);
  const tenantRate = parseRate(values["tenant-rate"], "--tenant-rate", 2);
  const clientRate = parseRate(values["client-rate"], "--client-rate", 4);
  const proxies = values["trusted-proxies"];
  const { dashboards } = values;
  const gateway = createGateway({
    domain: asciiHost(values.domain ?? "localhost").toLowerCase(),
    keys,
    table,
    source,
    fetch: runtime.fetch,
    send: new Http1Pool(runtime.connect).send,
    mac: runtime.mac,
    decodesBodies: runtime.decodesBodies,
    bodyBytesMax: parseCount(values["body-bytes"], "--body-bytes", 1),
    turns: {
      totalMax: limits.turnsMax,
      tenantMax: parseCount(values["tenant-requests"], "--tenant-requests", 1),
    },
    ...(tenantRate === undefined ? {} : { tenantRate }),
    ...(clientRate === undefined ? {} : { clientRate }),
    threads,
    clientWaitMs: clientWaitMs(values),
    ...(proxies === undefined ? {} : { trustedProxies: parseTrustedProxies(proxies, "--trusted-proxies") }),
    ...(dashboards === undefined ? {} : { dashboards: await readDashboards(runtime, dashboards) }),
    tenantHeader: values["allow-tenant-header"] !== undefined,
    observe: (exchange, request, status) => {
      for (let i = 0; i < observers.length; i++) observers[i]?.(exchange, request, status);
    },
    onError: (error) => log("error", error instanceof Error ? (error.stack ?? error.message) : String(error)),
  });
  return { gateway, source, copy, observers, ...(reload === undefined ? {} : { reload }) };
}

export function clientWaitMs(values: Values): number {
  return parseCount(values["client-wait"], "--client-wait", 1) * 1000;
}

async function readDashboards({ readFolder }: Runtime, folder: string): Promise<DashboardFiles> {
  try {
    return filesInMemory(await builtFiles(readFolder(folder, limits.dashboardFilesMax)));
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError(
      "invalid_directory",
      `Cannot read --dashboards ${folder}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

/** From the environment, else from the file, which is followed: also at each SIGHUP. */
function readKeys(
  { environment, readText, stopping }: Runtime,
  file: string,
  told: (level: string, message: string) => void,
): { keys: Keyring; reload?: () => void } {
  const text = environment["MANYBASE_GATEWAY_KEY"];
  if (text !== undefined && text !== "") return { keys: parseKeyring(text, "MANYBASE_GATEWAY_KEY") };
  try {
    const read = (): string => readText(file);
    const keys = new LiveKeyring(parseKeyring(read(), file));
    return { keys, reload: followKeys({ ring: keys, name: file, read, told }, stopping) };
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError("invalid_option", `Cannot read ${file}: ${(cause as Error).message}`, {
      hint: "Start `bun run control` first (it makes the keys), copy its gateway key here, or set MANYBASE_GATEWAY_KEY.",
    });
  }
}
