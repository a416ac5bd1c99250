import { createSocket } from "node:dgram";

/** A name server on UDP that knows TXT records, and answers NXDOMAIN for every other name. */
export interface DnsServer {
  address: string;
  /** Texts by lower-case name. */
  records: Map<string, string[]>;
  /** Names whose questions are not answered. */
  silent: Set<string>;
  asked: string[];
  stop(): void;
}

const TXT = 16;
const NXDOMAIN = 3;

export async function startDns(): Promise<DnsServer> {
  const records = new Map<string, string[]>();
  const silent = new Set<string>();
  const asked: string[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (query, { port, address }) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.subarray(at + 1, at + 1 + length).toString("latin1"));
      at += length + 1;
    }
    const question = query.subarray(12, at + 5);
    const name = labels.join(".").toLowerCase();
    asked.push(name);
    if (silent.has(name)) return;
    const texts = query.readUInt16BE(at + 1) === TXT ? (records.get(name) ?? []) : [];
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(0x8180 | (records.has(name) ? 0 : NXDOMAIN), 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(texts.length, 6);
    const answers = texts.map((text) => {
      const pieces = text.match(/.{1,255}/gs) ?? [""];
      const data = Buffer.concat(
        pieces.map((piece) => Buffer.concat([Buffer.from([piece.length]), Buffer.from(piece)])),
      );
      const record = Buffer.alloc(12);
      record.writeUInt16BE(0xc00c, 0);
      record.writeUInt16BE(TXT, 2);
      record.writeUInt16BE(1, 4);
      record.writeUInt16BE(data.length, 10);
      return Buffer.concat([record, data]);
    });
    socket.send(Buffer.concat([head, question, ...answers]), port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${socket.address().port}`,
    records,
    silent,
    asked,
    stop: () => void socket.close(),
  };
}
