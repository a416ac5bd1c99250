import { SystemError, UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { helpText, parseListen, parseOptions } from "../shared/options.ts";
import { followKeys } from "../shared/protocol/follow-keys.ts";
import { type Keyring, LiveKeyring, parseKeyring } from "../shared/protocol/keys.ts";
import { createGateway } from "./app.ts";
import { builtFiles } from "./dashboards/built-files.ts";
import { type DashboardFiles, filesInMemory } from "./dashboards/serve-file.ts";
import { asciiHost } from "./host.ts";
import { type Observer, accessLog, parseAccessLogLevel } from "./observe/access-log.ts";
import { OPTIONS, parseCount, parseRate } from "./options.ts";
import { parseTrustedProxies } from "./proxy/trusted-proxies.ts";
import { RouteCopy } from "./routes/route-copy.ts";
import { RouteSource } from "./routes/route-source.ts";
import { RouteTable } from "./routes/route-table.ts";
import type { Handler, Listening, Runtime } from "./runtime.ts";

/** The gateway as a process, until it is stopped. Prints `gateway ready on <url>` when it listens. */
export async function runGateway(runtime: Runtime): Promise<never> {
  try {
    await run(runtime);
  } catch (error) {
    const known = error instanceof UserError || error instanceof SystemError;
    runtime.complain(known ? error.message : `Cannot run the gateway: ${String(error)}`);
    if (known && error.hint !== undefined) runtime.complain(error.hint);
    return runtime.exit(1);
  }
  return runtime.exit(0);
}

async function run(runtime: Runtime): Promise<void> {
  const { values, help } = parseOptions(OPTIONS, runtime.arguments, runtime.environment);
  if (help) {
    const about = "Takes requests and forwards them to the worker of their tenant.";
    runtime.print(helpText("deno run gateway [options]", about, OPTIONS));
    return;
  }
  const { stopping } = runtime;
  const controlUrl = values.control ?? "";
  const log = (level: string, message: string) =>
    runtime.complain(JSON.stringify({ part: "gateway", level, time: Date.now(), message }));
  const keys = readKeys(runtime, `${values.data}/keys/gateway.key`, log);
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
    ...(runtime.send === undefined ? {} : { send: runtime.send }),
    decodesBodies: runtime.decodesBodies,
    bodyBytesMax: parseCount(values["body-bytes"], "--body-bytes", 1),
    turns: {
      totalMax: limits.turnsMax,
      tenantMax: parseCount(values["tenant-requests"], "--tenant-requests", 1),
    },
    ...(tenantRate === undefined ? {} : { tenantRate }),
    ...(clientRate === undefined ? {} : { clientRate }),
    clientWaitMs: parseCount(values["client-wait"], "--client-wait", 1) * 1000,
    ...(proxies === undefined ? {} : { trustedProxies: parseTrustedProxies(proxies, "--trusted-proxies") }),
    ...(dashboards === undefined ? {} : { dashboards: await readDashboards(runtime, dashboards) }),
    tenantHeader: values["allow-tenant-header"] !== undefined,
    observe: (exchange, request, status) => {
      for (const observe of observers) observe(exchange, request, status);
    },
    onError: (error) => log("error", error instanceof Error ? (error.stack ?? error.message) : String(error)),
  });
  const servers: Listening[] = [];
  if (values.metrics !== undefined) {
    const metrics = await runtime.metrics(gateway.gauges);
    observers.push(metrics.observe);
    servers.push(await listenOn(runtime, metrics.answer, values.metrics, "--metrics"));
  }
  const background = [
    source.follow(stopping, (trouble) => log("warn", trouble)),
    copy.keep(stopping, (trouble) => log("warn", trouble)),
  ];
  const server = await listenOn(runtime, gateway.fetch, values.listen ?? "", "--listen");
  servers.push(server);
  const [metricsServer] = values.metrics === undefined ? [] : servers;
  if (metricsServer !== undefined) runtime.print(`gateway metrics on ${metricsServer.url}`);
  runtime.print(`gateway ready on ${server.url}`);
  const ended = Promise.all([...background, ...servers.map(({ finished }) => finished)]);
  // Streams may go on for hours: they are given a moment to end by themselves.
  await new Promise<void>((resolve) => {
    stopping.addEventListener("abort", () => setTimeout(resolve, limits.gatewayDrainMs), { once: true });
    void ended.then(() => resolve());
  });
}

async function listenOn(
  { serve, stopping }: Runtime,
  handler: Handler,
  where: string,
  name: string,
): Promise<Listening> {
  try {
    return await serve(handler, parseListen(where, name), stopping);
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SystemError("address_in_use", `Cannot listen on ${where}: ${why}`, { cause });
  }
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
  { environment, readText, stopping, onReload }: Runtime,
  file: string,
  told: (level: string, message: string) => void,
): Keyring {
  const text = environment["MANYBASE_GATEWAY_KEY"];
  if (text !== undefined && text !== "") return parseKeyring(text, "MANYBASE_GATEWAY_KEY");
  try {
    const read = (): string => readText(file);
    const ring = new LiveKeyring(parseKeyring(read(), file));
    onReload(followKeys({ ring, name: file, read, told }, stopping));
    return ring;
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError("invalid_option", `Cannot read ${file}: ${(cause as Error).message}`, {
      hint: "Start `bun run control` first (it makes the keys), copy its gateway key here, or set MANYBASE_GATEWAY_KEY.",
    });
  }
}
