import { SystemError, UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { helpText, parseListen, parseOptions } from "../shared/options.ts";
import { type Log, type Values, assemble, clientWaitMs } from "./assemble.ts";
import { type ClientOptions, type Handle, handleBy } from "./front/client-connection.ts";
import { joinIn, listenOn } from "./front/listen.ts";
import { OPTIONS, parseCount } from "./options.ts";
import type { Listening, Runtime, Threads } from "./runtime.ts";

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

/** The same of one thread, until it is stopped. */
export async function run(runtime: Runtime): Promise<void> {
  const { values, help } = parseOptions(OPTIONS, runtime.arguments, runtime.environment);
  if (help) {
    const about = "Takes requests and forwards them to the worker of their tenant.";
    runtime.print(helpText("deno run gateway [options]", about, OPTIONS));
    return;
  }
  const { stopping, thread } = runtime;
  const log: Log = (level, message) =>
    runtime.complain(JSON.stringify({ part: "gateway", level, time: Date.now(), message }));
  const threads = parseCount(values.threads, "--threads", 1);
  const { gateway, source, copy, observers, reload } = await assemble(runtime, values, threads, log);
  const handle: Handle = (request, client, reply) => gateway.answer(request, client, "tunnel", reply);
  const front: ClientOptions = { handle, clientWaitMs: clientWaitMs(values) };
  let others: Threads | undefined;
  const counted = async (): Promise<unknown[]> => (await others?.ask("metrics")) ?? [];
  const metrics = values.metrics === undefined ? undefined : await runtime.metrics(gateway.gauges, counted);
  if (metrics !== undefined) observers.push(metrics.observe);
  runtime.onReload(() => {
    reload?.();
    void others?.ask("reload");
  });
  const warn = (trouble: string): void => log("warn", trouble);
  const following = source.follow(stopping, warn);
  if (thread !== undefined) {
    thread.collect = metrics?.collect;
    const { finished } = joinIn(runtime, front, thread.order.where);
    thread.ready();
    await Promise.all([following, drained(stopping, finished)]);
    return;
  }
  const { serve } = runtime;
  const shared = threads > 1 && serve === undefined;
  const where = { ...parseListen(values.listen ?? "", "--listen"), shared };
  const server =
    serve === undefined ? listenOn(runtime, front, where) : await serve(gateway.fetch, where, stopping);
  if (shared) {
    const port = Number(new URL(server.url).port);
    const order = { arguments: runtime.arguments, where: { ...where, port } };
    others = await runtime.startThreads?.(threads - 1, order, (message) => {
      runtime.complain(`Cannot go on: a thread of the gateway died: ${message}`);
      runtime.exit(1);
    });
  }
  const servers = [server];
  if (metrics !== undefined)
    servers.push(listenForMetrics(runtime, values, { ...front, handle: handleBy(metrics.answer) }));
  runtime.print(`gateway ready on ${server.url}`);
  const stopped = new Promise<unknown>((resolve) => {
    stopping.addEventListener("abort", () => resolve(others?.ask("stop")), { once: true });
  });
  const ended = [following, copy.keep(stopping, warn), stopped, ...servers.map(({ finished }) => finished)];
  await drained(stopping, Promise.all(ended));
}

function listenForMetrics(runtime: Runtime, values: Values, front: ClientOptions): Listening {
  const at = parseListen(values.metrics ?? "", "--metrics");
  const server = listenOn(runtime, front, { ...at, shared: false });
  runtime.print(`gateway metrics on ${server.url}`);
  return server;
}

/** Streams may go on for hours: they are given a moment to end by themselves. */
function drained(stopping: AbortSignal, ended: Promise<unknown>): Promise<void> {
  return new Promise<void>((resolve) => {
    stopping.addEventListener("abort", () => setTimeout(resolve, limits.gatewayDrainMs), { once: true });
    void ended.then(() => resolve());
  });
}
