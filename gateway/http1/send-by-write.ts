import type { Socket } from "../proxy/upstream.ts";

/** Writes until the system has taken all. */
export async function sendByWrite(socket: Pick<Socket, "write">, bytes: Uint8Array): Promise<void> {
  for (let left = bytes; left.length > 0;) left = left.subarray(await socket.write(left));
}
