/// <reference lib="deno.ns" />
import { SystemError, UserError } from "../shared/errors.ts";
import { helpText, parseListen, parseOptions } from "../shared/options.ts";
import { type Keyring, parseKeyring } from "../shared/protocol/keys.ts";
import { serveOnDeno } from "./adapters/deno.ts";
import { createGateway } from "./app.ts";
import { RouteSource } from "./routes/route-source.ts";
import { RouteTable } from "./routes/route-table.ts";

const OPTIONS = {
  listen: {
    value: "<host:port>",
    env: "MANYBASE_GATEWAY_LISTEN",
    default: "127.0.0.1:8080",
    help: "Where clients connect; port 0 takes a free one.",
  },
  control: {
    value: "<url>",
    env: "MANYBASE_CONTROL_URL",
    default: "http://127.0.0.1:7400",
    help: "The control service.",
  },
  domain: {
    value: "<name>",
    env: "MANYBASE_DOMAIN",
    default: "localhost",
    help: "Tenants are <slug>.<name>.",
  },
  data: {
    value: "<dir>",
    env: "MANYBASE_DATA",
    default: "./data",
    help: "The key is read from <dir>/keys/gateway.key, unless MANYBASE_GATEWAY_KEY is set.",
  },
};

const stopping = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, () => stopping.abort());
if (Deno.env.get("MANYBASE_SUPERVISED") !== undefined) void endWithParent();

try {
  await run();
  Deno.exit(0);
} catch (error) {
  const known = error instanceof UserError || error instanceof SystemError;
  console.error(known ? error.message : `Cannot run the gateway: ${String(error)}`);
  if (known && error.hint !== undefined) console.error(error.hint);
  Deno.exit(1);
}

async function run(): Promise<void> {
  const { values, help } = parseOptions(OPTIONS, Deno.args, Deno.env.toObject());
  if (help) {
    console.log(
      helpText(
        "deno run gateway [options]",
        "Takes requests and forwards them to the worker of their tenant.",
        OPTIONS,
      ),
    );
    return;
  }
  const listen = parseListen(values.listen ?? "", "--listen");
  const controlUrl = (values.control ?? "").replace(/\/$/, "");
  const keys = readKeys(`${values.data}/keys/gateway.key`);
  const table = new RouteTable();
  const source = new RouteSource(table, { controlUrl, keys });
  const log = (level: string, message: string) =>
    console.error(JSON.stringify({ part: "gateway", level, time: Date.now(), message }));
  const app = createGateway({
    domain: (values.domain ?? "localhost").toLowerCase(),
    controlUrl,
    keys,
    table,
    source,
    onError: (error) => log("error", error instanceof Error ? (error.stack ?? error.message) : String(error)),
  });
  const following = source.follow(stopping.signal, (trouble) => log("warn", trouble));
  const server = serve();
  console.log(`gateway ready on ${server.url}`);
  await Promise.all([following, server.finished]);

  function serve(): ReturnType<typeof serveOnDeno> {
    try {
      return serveOnDeno(app, listen, stopping.signal);
    } catch (cause) {
      throw new SystemError(
        "address_in_use",
        `Cannot listen on ${values.listen}: ${(cause as Error).message}`,
        { cause },
      );
    }
  }
}

function readKeys(file: string): Keyring {
  const text = Deno.env.get("MANYBASE_GATEWAY_KEY");
  if (text !== undefined && text !== "") return parseKeyring(text, "MANYBASE_GATEWAY_KEY");
  try {
    return parseKeyring(Deno.readTextFileSync(file), file);
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError("invalid_option", `Cannot read ${file}: ${(cause as Error).message}`, {
      hint: "Start `bun run control` first (it makes the keys), copy its gateway key here, or set MANYBASE_GATEWAY_KEY.",
    });
  }
}

/** Our standard input is a pipe from the supervisor: it closes when that one dies, however it dies. */
async function endWithParent(): Promise<void> {
  for await (const chunk of Deno.stdin.readable) void chunk;
  stopping.abort();
}
