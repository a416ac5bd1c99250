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
/** Until their end tags there are no others in them. */
const RAW_TEXT = new Set(["style", "script", "textarea", "iframe"]);
/** A comment, also an empty or a badly ended one; what is none but counts as one; a tag; a tag that does not end; text. */
const TOKENS =
  /<!--(?:-?>|[\s\S]*?(?:--!?>|$))|<(?:[!?]|\/(?![a-zA-Z]))[^>]*>|<(\/?)([a-zA-Z][^\s/>]*)((?:"[^"]*"|'[^']*'|[^'">])*)>|<(?=[a-zA-Z/!?])[\s\S]*$|[^<]+|</g;
/** What the control characters of a numeric entity stand for: Windows' characters. */
const WINDOWS_1252 = new TextDecoder("windows-1252");

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
  const open = new Map<string, number>();
  const append = (raw: string): void => {
    const collapsed = raw.replaceAll("\0", "").replace(/[ \t\n\f\r]+/g, " ");
    const next = text === "" || text.endsWith(" ") ? collapsed.trimStart() : collapsed;
    text += next;
    bytes += Buffer.byteLength(next);
  };
  const tokens = new RegExp(TOKENS);
  for (let token = tokens.exec(html); token !== null; token = tokens.exec(html)) {
    const [all, closing, name] = token;
    const tag = name?.toLowerCase();
    if (tag !== undefined && closing === "" && RAW_TEXT.has(tag)) {
      const end = new RegExp(`</${tag}(?=[\\s/>])`, "gi");
      end.lastIndex = tokens.lastIndex;
      tokens.lastIndex = end.exec(html)?.index ?? html.length;
      continue;
    }
    if (droppedTag !== "") {
      if (tag === droppedTag) droppedDepth += closing === "/" ? -1 : 1;
      if (droppedDepth === 0) droppedTag = "";
      continue;
    }
    // A comment, or a tag that does not end.
    if (/^<(?:[!?]|\/[^a-zA-Z])/.test(all) || (tag === undefined && /^<[a-zA-Z/]/.test(all))) continue;
    if (tag === undefined) {
      if (bytes >= enough) return text;
      append(decodeEntities(all));
    } else if (DROPPED.has(tag)) {
      if (closing !== "/" && !VOID.has(tag) && !all.endsWith("/>")) {
        droppedTag = tag;
        droppedDepth = 1;
      }
    } else if (!INLINE.has(tag)) {
      const count = open.get(tag) ?? 0;
      // The end of what never began is nothing, but that of a paragraph makes an empty one.
      if (closing === "/" && count === 0 && tag !== "p") continue;
      open.set(tag, Math.max(0, count + (closing === "/" ? -1 : 1)));
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
      if (code >= 0x80 && code < 0xa0) return WINDOWS_1252.decode(Uint8Array.of(code));
      const isCharacter = code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
      return isCharacter ? String.fromCodePoint(code) : "\ufffd";
    },
  );
}
