/**
 * Realtime on one worker: `bun test/bench/realtime.ts [connections] [subscribed] [changes]`. That many connections are open, so many
 * of them, each of another user, listen to one collection; measured is how long after a change is durable each of those is told.
 * The store is a directory, so a commit is durable in milliseconds. Clients are processes of their own on the same machine: with two
 * cores their share of the time is a good part of what is measured.
 */
import { limits } from "../../shared/limits.ts";
import { startTestApi } from "../../worker/app-testing.ts";
import { newAuthToken } from "../../worker/auth/tokens.ts";
import { modelOf } from "../../worker/model/model.ts";
import { linesOf } from "../../scripts/lines-of.ts";

const CHILD = "--child";
/** A process can have 20,000 files open on most machines, and one busy reader must not be all that is measured. */
const PER_CHILD = 2_500;
const nowMs = (): number => performance.timeOrigin + performance.now();

interface Plan {
  port: number;
  connections: number;
  /** One per client that subscribes. */
  tokens: string[];
}

if (process.argv[2] === CHILD) await child(JSON.parse(await new Response(Bun.stdin.stream()).text()) as Plan);
else await parent(process.argv.slice(2).map(Number));

async function parent([connections = 10_000, subscribed = 1_000, changes = 50]: number[]): Promise<void> {
  const api = await startTestApi();
  const { tenant } = api;
  const model = modelOf(tenant);
  const durableMs = new Map<string, number>();
  // Before the feature's own listener, so that its effect comes first.
  model.listen((tx, { record }) =>
    tx.afterDurable(() => void durableMs.set(String(record.values["text"]), nowMs())),
  );
  const seen = tenant.observe();
  await tenant.data.write(seen, (tx) =>
    model.createCollection(tx, {
      ...{ name: "notes", type: "base", listRule: "open = true" },
      fields: [
        { name: "text", type: "text" },
        { name: "open", type: "bool" },
      ],
    }),
  );
  const users = model.schema.find("users");
  const notes = model.schema.find("notes");
  if (users === undefined || notes === undefined) throw new Error("no collections");
  const tokens = await tenant.data.write(seen, (tx) =>
    Array.from({ length: subscribed }, (_, n) => {
      const id = `user${String(n).padStart(11, "0")}`;
      tx.run("INSERT INTO users (id, email, tokenKey, password) VALUES (?, ?, ?, '')", [
        ...[id, `${id}@example.com`, `key-${id}`.padEnd(50, "x")],
      ]);
      const record = model.find(tx, users, id);
      if (record === undefined) throw new Error("no user");
      return newAuthToken(record);
    }),
  );

  const rssBefore = process.memoryUsage.rss();
  const count = Math.ceil(connections / PER_CHILD);
  const children = Array.from({ length: count }, (_, index) => {
    const share = tokens.filter((_token, n) => n % count === index);
    const plan: Plan = {
      port: api.server.port ?? 0,
      connections: Math.min(PER_CHILD, connections - index * PER_CHILD),
      tokens: share,
    };
    const process = Bun.spawn(["bun", import.meta.path, CHILD], {
      stdin: new Blob([JSON.stringify(plan)]),
      stdout: "pipe",
      stderr: "inherit",
    });
    return { process, lines: linesOf(process.stdout) };
  });
  for (const { lines } of children) await lines.next();
  const rssMiB = (process.memoryUsage.rss() - rssBefore) / 1024 / 1024;
  console.log(`${connections} connections open, ${tokens.length} subscribed: ${rssMiB.toFixed(0)} MiB`);

  const spent: number[] = [];
  for (let n = 0; n < changes; n++) {
    const pending = model.bind(notes, undefined, { text: `note-${n}`, open: true }, new Map(), {
      allowHidden: true,
    });
    const own = tenant.observe();
    const startMs = performance.now();
    await tenant.data.write(own, (tx) => model.save(tx, pending));
    spent.push(performance.now() - startMs);
    await own.settled();
    await Bun.sleep(150);
  }
  const latencies: number[] = [];
  for (const { process, lines } of children) {
    process.kill("SIGUSR1");
    const { value } = await lines.next();
    for (const [text, atMs] of JSON.parse(value ?? "[]") as [string, number][]) {
      latencies.push(Math.max(0, atMs - (durableMs.get(text) ?? Infinity)));
    }
    process.kill();
  }
  const told = latencies.length;
  const expected = tokens.length * changes;
  console.log(`${changes} changes: told ${told} of ${expected}`);
  console.log(`write and rules, one turn: p50 ${at(spent, 0.5)} ms, p99 ${at(spent, 0.99)} ms`);
  console.log(
    `durable to told: p50 ${at(latencies, 0.5)} ms, p99 ${at(latencies, 0.99)} ms, max ${at(latencies, 1)} ms`,
  );
  await api.close();
  process.exit(told === expected ? 0 : 1);
}

function at(values: readonly number[], share: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(1);
}

async function child({ port, connections, tokens }: Plan): Promise<void> {
  const told: [string, number][] = [];
  const open = async (token: string | undefined): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<string>();
    let tail = "";
    await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        open(socket) {
          socket.write("GET /api/realtime HTTP/1.1\r\nHost: localhost\r\n\r\n");
        },
        data(_socket, bytes) {
          const atMs = nowMs();
          tail += bytes.toString();
          const id = /"clientId":"(\w{40})"/.exec(tail)?.[1];
          if (id !== undefined) resolve(id);
          for (const [, text] of tail.matchAll(/"text":"(note-\d+)".*\n\n/g)) told.push([text ?? "", atMs]);
          tail = tail.slice(tail.lastIndexOf("\n\n") + 1);
        },
      },
    });
    const clientId = await promise;
    if (token === undefined) return;
    const answer = await fetch(`http://127.0.0.1:${port}/api/realtime`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: token },
      body: JSON.stringify({ clientId, subscriptions: ["notes/*"] }),
      signal: AbortSignal.timeout(limits.startMsMax),
    });
    if (answer.status !== 204) throw new Error(`cannot subscribe: ${answer.status} ${await answer.text()}`);
  };
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < connections) await open(tokens[next++]);
  };
  await Promise.all(Array.from({ length: 32 }, lane));
  process.on("SIGUSR1", () => console.log(JSON.stringify(told)));
  console.log("ready");
  setInterval(() => undefined, 1_000);
}
