/**
 * Draws the logos of the OAuth2 providers from openly licensed icon sets into `worker/oauth2/providers/logos.json`. The sets are much
 * larger than what the product needs of them, so they are no dependencies:
 *
 *     npm install --prefix <folder> @iconify-json/{logos,simple-icons,cib,icon-park,fluent-emoji-flat}
 *     bun scripts/provider-logos.ts <folder>
 */
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";

const LOGOS = resolve(import.meta.dir, "../worker/oauth2/providers/logos.json");

/** `set:icon`. Those whose sign no set has (mailcow, Planning Center) get one that says what they are. */
const ICONS: Readonly<Record<string, string>> = {
  apple: "logos:apple",
  google: "logos:google-icon",
  microsoft: "logos:microsoft-icon",
  yandex: "cib:yandex",
  facebook: "logos:facebook",
  instagram2: "logos:instagram-icon",
  github: "logos:github-icon",
  gitlab: "logos:gitlab-icon",
  bitbucket: "logos:bitbucket",
  gitee: "simple-icons:gitee",
  gitea: "simple-icons:gitea",
  discord: "logos:discord-icon",
  twitter: "logos:x",
  kakao: "simple-icons:kakaotalk",
  vk: "simple-icons:vk",
  linear: "logos:linear-icon",
  notion: "logos:notion-icon",
  monday: "logos:monday-icon",
  lark: "icon-park:lark",
  box: "logos:box",
  spotify: "logos:spotify-icon",
  trakt: "simple-icons:trakt",
  twitch: "logos:twitch",
  patreon: "logos:patreon",
  strava: "simple-icons:strava",
  wakatime: "simple-icons:wakatime",
  livechat: "simple-icons:livechat",
  mailcow: "fluent-emoji-flat:cow-face",
  planningcenter: "fluent-emoji-flat:calendar",
  oidc: "simple-icons:openid",
  oidc2: "simple-icons:openid",
  oidc3: "simple-icons:openid",
};

/** What is used of `icons.json` and `info.json` of an `@iconify-json` package. */
const size = { width: z.number().optional(), height: z.number().optional() };
const Icons = z.object({ ...size, icons: z.record(z.string(), z.object({ ...size, body: z.string() })) });
const Info = z.object({
  name: z.string(),
  author: z.object({ name: z.string() }),
  license: z.object({ spdx: z.string(), url: z.string() }),
});

const [folder] = process.argv.slice(2);
if (folder === undefined)
  throw new Error("Cannot draw logos: say in which folder the icon sets are installed");
const packages = resolve(folder, "node_modules/@iconify-json");
const read = (...path: string[]): Promise<unknown> => Bun.file(join(packages, ...path)).json();

const sources: Record<string, string> = {};
const logos: Record<string, string> = {};
for (const [provider, source] of Object.entries(ICONS)) {
  const [set = "", name = ""] = source.split(":");
  const { icons, ...usual } = Icons.parse(await read(set, "icons.json"));
  const icon = icons[name];
  if (icon === undefined) throw new Error(`Cannot draw ${provider}: there is no icon ${source}`);
  const { width = 16, height = 16 } = { ...usual, ...icon };
  const { author, license, name: title } = Info.parse(await read(set, "info.json"));
  sources[set] = `${title} by ${author.name}, ${license.spdx}, ${license.url}`;
  logos[provider] =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${icon.body}</svg>`;
}
await writeFile(LOGOS, `${JSON.stringify({ sources, logos }, undefined, 2)}\n`);
