/** What came back over a plain TCP connection, as Latin-1 text. */
export interface Raw {
  text(): string;
  send(text: string | Uint8Array): void;
  /** Until what came back matches, or the connection has ended, or the time is over. */
  until(pattern: RegExp, timeoutMs?: number): Promise<string>;
  closed: Promise<void>;
  end(): void;
  /** Ends it without goodbye. */
  reset(): void;
}

export async function connectRaw(port: number): Promise<Raw> {
  let received = "";
  let open = true;
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  const ended = (): void => {
    open = false;
    close();
  };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, chunk) => {
        received += chunk.toString("latin1");
      },
      end: ended,
      close: ended,
      error: ended,
    },
  });
  return {
    text: () => received,
    send: (text) => void socket.write(text),
    closed,
    end: () => socket.end(),
    reset: () => socket.terminate(),
    async until(pattern, timeoutMs = 3_000) {
      const untilMs = performance.now() + timeoutMs;
      while (open && !pattern.test(received) && performance.now() < untilMs) await Bun.sleep(5);
      return received;
    },
  };
}

/** One connection that sends this text and is read until it matches or ends. */
export async function exchangeRaw(
  port: number,
  text: string,
  pattern: RegExp = /\r\n\r\n/,
  timeoutMs = 3_000,
): Promise<string> {
  const raw = await connectRaw(port);
  raw.send(text);
  const answer = await raw.until(pattern, timeoutMs);
  raw.end();
  return answer;
}

export const statusOf = (answer: string): number => Number(/^HTTP\/1\.[01] (\d{3})/.exec(answer)?.[1] ?? 0);
