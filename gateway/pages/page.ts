import { html } from "hono/html";

const CSP =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** A small page of the platform itself. The texts are escaped. */
export async function page(
  status: number,
  title: string,
  lines: readonly string[],
  code?: string,
): Promise<Response> {
  const body = await html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <style>
          :root {
            color-scheme: light dark;
          }
          body {
            font:
              16px/1.5 system-ui,
              sans-serif;
            max-width: 38rem;
            margin: 18vh auto 0;
            padding: 0 1.5rem;
          }
          h1 {
            font-size: 1.5rem;
            margin: 0 0 0.75rem;
          }
          p {
            margin: 0 0 0.75rem;
          }
          footer {
            margin-top: 2rem;
            opacity: 0.6;
            font-size: 0.85rem;
          }
        </style>
      </head>
      <body>
        <h1>${title}</h1>
        ${lines.map((line) => html`<p>${line}</p>`)}
        <footer>Manybase${code === undefined ? "" : ` · ${status} ${code}`}</footer>
      </body>
    </html>`;
  return new Response(String(body), {
    status,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "content-security-policy": CSP,
      "x-content-type-options": "nosniff",
    },
  });
}
