/** Mail templates with PocketBase's placeholders: `{APP_NAME}`, `{TOKEN}`, `{RECORD:field}`. */
import { limits } from "../../shared/limits.ts";
import type { MailContent } from "./contract.ts";

const PLACEHOLDER = /\{[A-Z][A-Z_]*(?::\w+)?\}/g;

/** Unknown placeholders stay. A value that looks like a placeholder is not filled in again; one that is too long is left out. */
export function fillPlaceholders(text: string, values: ReadonlyMap<string, string>): string {
  let left = limits.mailValuesCharactersMax;
  return text.slice(0, limits.mailTemplateCharactersMax).replace(PLACEHOLDER, (found) => {
    const value = values.get(found.slice(1, -1));
    if (value === undefined) return found;
    if (value.length > left) return "";
    left -= value.length;
    return value;
  });
}

/** `body` is the HTML of a template; values are HTML too where they may hold markup. */
export function fillTemplate(
  template: { subject: string; body: string },
  values: ReadonlyMap<string, string>,
): MailContent {
  return {
    subject: fillPlaceholders(template.subject, values),
    html: page(fillPlaceholders(template.body, values)),
  };
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&#34;")
    .replaceAll("'", "&#39;");
}

/** Templates style their links with the class `btn`. */
function page(body: string): string {
  return `<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { margin: 0; padding: 24px 12px; background: #f3f4f6; color: #1f2937; font: 15px/1.5 sans-serif; }
main { display: block; max-width: 560px; margin: 0 auto; padding: 24px; background: #fff; border-radius: 6px; }
a { color: inherit; }
a.btn { display: inline-block; padding: 10px 24px; background: #1f2937; color: #fff; border-radius: 4px; text-decoration: none; }
</style>
</head>
<body><main>
${body}
</main></body>
</html>
`;
}
