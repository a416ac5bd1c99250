/** Workers behind TLS on Bun: reached when their certificate is good for their name, and never otherwise. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Of `localhost`, by itself, for a hundred years; for nothing but this test. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBojCCAUmgAwIBAgIUT7KYx5RIHg8gadbJGKw7EzLsh5QwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQd29ya2VyLmxvY2FsaG9zdDAgFw0yNjExMjIwODUxMDFaGA8y
MTI2MTAyOTA4NTEwMVowGzEZMBcGA1UEAwwQd29ya2VyLmxvY2FsaG9zdDBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABA1OHZBt+qyLxwQo45nPhoaQouvyzwnrAQrc
FwQYLF2s3XNAls4LMZ6JSJ0DP50AJHdwB8kUa0KLo4zPhjpF5w6jaTBnMB0GA1Ud
DgQWBBRowxQkzw6lGPzHOtuKafpgvepJXjAfBgNVHSMEGDAWgBRowxQkzw6lGPzH
OtuKafpgvepJXjAUBgNVHREEDTALgglsb2NhbGhvc3QwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNHADBEAiBVEN3Bfj/YBDTqauP7WWRQFeUlPxiW0pcr3H4f
shtMjAIgH/sZIgINCQngUbZulmHT7kBA3nR2nob4PTJFVlx+tac=
-----END CERTIFICATE-----
`;
const PRIVATE_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJH95NCKtYy4w2a+r
xEXFVfBx7spxt8OV0OtrefgivgGhRANCAAQNTh2Qbfqsi8cEKOOZz4aGkKLr8s8J
6wEK3BcEGCxdrN1zQJbOCzGeiUidAz+dACR3cAfJFGtCi6OMz4Y6RecO
-----END PRIVATE KEY-----
`;

const folder = mkdtempSync(join(tmpdir(), "manybase-tls-"));
const authority = join(folder, "authority.pem");
writeFileSync(authority, CERTIFICATE);
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  tls: { key: PRIVATE_KEY, cert: CERTIFICATE },
  fetch: async (request) => new Response(`got ${(await request.text()).length}`),
});

afterAll(async () => {
  await server.stop(true);
  rmSync(folder, { recursive: true, force: true });
});

/** What a process says that asks by `connect`; whom it trusts is settled when it starts. */
async function ask(host: string, trusted: string): Promise<string> {
  const script = `
    import { connect } from ${JSON.stringify(join(import.meta.dir, "bun-sockets.ts"))};
    const say = (text) => { console.log(text); process.exit(0); };
    const socket = await connect(new URL(process.argv.at(-1))).catch((error) => say("refused: " + error.message));
    const body = "x".repeat(300_000);
    let left = new TextEncoder().encode("POST / HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\ncontent-length: 300000\\r\\n\\r\\n" + body);
    while (left.length > 0) left = left.subarray(await socket.write(left));
    const into = new Uint8Array(10);
    let text = "";
    for (let read = await socket.read(into); read !== null; read = await socket.read(into)) {
      text += new TextDecoder().decode(into.subarray(0, read));
    }
    say(text.split("\\r\\n\\r\\n")[1]);
  `;
  const child = Bun.spawn([process.execPath, "-e", script, `https://${host}:${server.port}`], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: trusted },
    stdout: "pipe",
  });
  return (await new Response(child.stdout).text()).trim();
}

test("connect reaches who proves its name, and gives bytes both ways", async () => {
  expect(await ask("localhost", authority)).toBe("got 300000");
});

test.each([
  ["another name", "127.0.0.1", authority],
  ["a certificate that nobody vouches for", "localhost", ""],
])("connect refuses %s", async (_, host, trusted) => {
  expect(await ask(host, trusted)).toStartWith("refused: ");
});
