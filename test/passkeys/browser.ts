import { join } from "node:path";
import { type Browser, type BrowserContext, type Page, chromium } from "playwright-core";

/** A real browser for one suite. */
export function openBrowser(program: string): Promise<Browser> {
  // As root there is no sandbox; what these tests open is their own.
  return chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
}

/** page.ts and the SDK as one script. */
export async function pageScript(): Promise<string> {
  const built = await Bun.build({ entrypoints: [join(import.meta.dir, "page.ts")], target: "browser" });
  const [script] = built.outputs;
  if (script === undefined) throw new Error("Cannot build the page's script: nothing came out");
  return script.text();
}

/** Somebody's own site, away from the platform: a page with the script. */
export function startSite(script: string): { port: number; stop: () => void } {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) =>
      new URL(request.url).pathname === "/page.js"
        ? new Response(script, { headers: { "content-type": "text/javascript" } })
        : new Response('<!doctype html><title>site</title><script src="/page.js"></script>', {
            headers: { "content-type": "text/html" },
          }),
  });
  return { port: server.port ?? 0, stop: () => void server.stop(true) };
}

/** An authenticator that says yes to everything, as a phone whose owner has just put a finger on it. */
export async function addAuthenticator(context: BrowserContext, page: Page) {
  const devtools = await context.newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  const credentials = async () =>
    (await devtools.send("WebAuthn.getCredentials", { authenticatorId })).credentials;
  type Credential = Awaited<ReturnType<typeof credentials>>[number];
  return {
    credentials,
    /** Puts a credential back as it was: what a copy of the device would be. */
    async restore(credential: Credential): Promise<void> {
      const { credentialId } = credential;
      await devtools.send("WebAuthn.removeCredential", { authenticatorId, credentialId });
      await devtools.send("WebAuthn.addCredential", { authenticatorId, credential });
    },
  };
}
