import type { GatewayThread, Runtime, ThreadOrder, Threads } from "../runtime.ts";

/** What is said between the first thread and the others. */
type Told = { start: ThreadOrder } | { ask: "stop" | "reload" | "metrics"; id: number };
type Said = { ready: true } | { id: number; answer: unknown };

/**
 * Starts threads that each run `runThread`, and waits until all listen.
 *
 * @param make a new thread of this runtime
 * @param failed told when a thread dies, which none does by itself
 */
export async function startThreads(
  make: () => Worker,
  count: number,
  order: ThreadOrder,
  failed: (message: string) => void,
): Promise<Threads> {
  const workers = await Promise.all(Array.from({ length: count }, () => started(make(), order, failed)));
  const waiting = new Map<number, (answer: unknown) => void>();
  let last = 0;
  for (const worker of workers) {
    worker.addEventListener("message", ({ data }: MessageEvent<Said>) => {
      if (!("id" in data)) return;
      waiting.get(data.id)?.(data.answer);
      waiting.delete(data.id);
    });
  }
  return {
    ask: (ask) =>
      Promise.all(
        workers.map((worker) => {
          const { promise, resolve } = Promise.withResolvers<unknown>();
          last += 1;
          waiting.set(last, resolve);
          worker.postMessage({ ask, id: last } satisfies Told, []);
          return promise;
        }),
      ),
  };
}

function started(worker: Worker, order: ThreadOrder, failed: (message: string) => void): Promise<Worker> {
  return new Promise((resolve) => {
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      failed(event.message);
    });
    const ready = ({ data }: MessageEvent<Said>): void => {
      if (!("ready" in data)) return;
      worker.removeEventListener("message", ready);
      resolve(worker);
    };
    worker.addEventListener("message", ready);
    worker.postMessage({ start: order } satisfies Told, []);
  });
}

/** The other side: a thread, told what to do by the first one. */
export function runThread(
  run: (runtime: Runtime) => Promise<void>,
  runtimeOf: (stopping: AbortSignal) => Omit<Runtime, "arguments">,
): void {
  const scope = globalThis as unknown as {
    addEventListener: (name: "message", listener: (event: MessageEvent<Told>) => void) => void;
    postMessage: (said: Said, transfer: []) => void;
  };
  const stopping = new AbortController();
  let thread: GatewayThread | undefined;
  let reload: (() => void) | undefined;
  let finished: Promise<void> | undefined;
  const start = (order: ThreadOrder): void => {
    thread = { order, collect: undefined, ready: () => scope.postMessage({ ready: true }, []) };
    finished = run({
      ...runtimeOf(stopping.signal),
      arguments: order.arguments,
      onReload: (look) => {
        reload = look;
      },
      thread,
    });
    // What breaks a thread breaks the process, whose supervisor starts it again.
    finished.catch((error: unknown) => {
      queueMicrotask(() => {
        throw error;
      });
    });
  };
  const answerTo = async (ask: "stop" | "reload" | "metrics"): Promise<unknown> => {
    if (ask === "reload") reload?.();
    if (ask === "metrics") return thread?.collect?.();
    if (ask === "stop") {
      stopping.abort();
      await finished;
    }
    return undefined;
  };
  scope.addEventListener("message", ({ data }) => {
    if ("start" in data) start(data.start);
    else void answerTo(data.ask).then((answer) => scope.postMessage({ id: data.id, answer }, []));
  });
}
