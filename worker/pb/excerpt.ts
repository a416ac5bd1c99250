/** `?fields=text:excerpt(max, ellipsis)`: the plain text of an HTML value, cut to `max` characters. */
const DROPPED = new Set(
  "head style script iframe embed applet object svg img picture dialog template button form textarea input select option".split(
    " ",
  ),
);
const INLINE = new Set(
  "a abbr acronym b bdo big br button cite code em i label q small span strong strike sub sup time".split(
    " ",
  ),
);
const VOID = new Set("img input embed br hr area base col link meta source track wbr param".split(" "));
const RAW_TEXT = new Set(["style", "script", "textarea", "iframe"]);
const TOKENS =
  /<!--[\s\S]*?(?:-->|$)|<[!?][^>]*>|<(\/?)([a-zA-Z][^\s/>]*)((?:"[^"]*"|'[^']*'|[^'">])*)>|<(?=[a-zA-Z/!?])[\s\S]*$|[^<]+|</g;

const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: "\u00a0",
  copy: "©",
  reg: "®",
  trade: "™",
  hellip: "…",
  mdash: "—",
  ndash: "–",
  lsquo: "‘",
  rsquo: "’",
  ldquo: "“",
  rdquo: "”",
  laquo: "«",
  raquo: "»",
  bull: "•",
  middot: "·",
  euro: "€",
  pound: "£",
  cent: "¢",
  yen: "¥",
  deg: "°",
  times: "×",
  sect: "§",
  para: "¶",
};

/** Reading ends after the piece of text with which it is longer than `max` in bytes; the cut is by characters, as in PocketBase. */
export function excerpt(html: string, max: number, ellipsis: boolean): string {
  const characters = Array.from(plainText(html, max + 2).trim());
  if (characters.length <= max) return characters.join("");
  const cut = characters.slice(0, max).join("").trim();
  return ellipsis ? `${cut}...` : cut;
}

function plainText(html: string, enough: number): string {
  let text = "";
  let bytes = 0;
  let droppedTag = "";
  let droppedDepth = 0;
  const append = (raw: string): void => {
    const collapsed = raw.replace(/[ \t\n\f\r]+/g, " ");
    const next = text === "" || text.endsWith(" ") ? collapsed.trimStart() : collapsed;
    text += next;
    bytes += Buffer.byteLength(next);
  };
  for (const token of html.matchAll(TOKENS)) {
    const [all, closing, name] = token;
    const tag = name?.toLowerCase();
    if (droppedTag !== "") {
      if (tag === droppedTag && closing === "/") droppedDepth -= 1;
      else if (tag === droppedTag && !RAW_TEXT.has(droppedTag)) droppedDepth += 1;
      if (droppedDepth === 0) droppedTag = "";
      continue;
    }
    // A comment, or a tag that does not end.
    if (/^<[!?]/.test(all) || (tag === undefined && /^<[a-zA-Z/]/.test(all))) continue;
    if (tag === undefined) {
      if (bytes >= enough) return text;
      append(decodeEntities(all));
    } else if (DROPPED.has(tag)) {
      if (closing !== "/" && !VOID.has(tag) && !all.endsWith("/>")) {
        droppedTag = tag;
        droppedDepth = 1;
      }
    } else if (!INLINE.has(tag)) {
      append(" ");
    }
  }
  return text;
}

function decodeEntities(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(
    /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-zA-Z]{2,8}));?/g,
    (all, decimal: string | undefined, hex: string | undefined, name: string | undefined) => {
      if (name !== undefined) return ENTITIES[name] ?? all;
      const code = decimal === undefined ? Number.parseInt(hex ?? "0", 16) : Number(decimal);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
    },
  );
}
