/** Names under which uploads are stored (pocketbase.md §11): readable, unguessable, safe in a path and a URL. */
import { randomText } from "../../../shared/ids.ts";
import { ID_ALPHABET } from "../fields/random-pattern.ts";
import type { UploadedFile } from "../contract.ts";
import { endingOf } from "./mime-extensions.ts";

/** Characters at the end of an upload's name that are looked at. */
const NAME_MAX = 300;
const BASE_MAX = 100;
const EXTENSION_MAX = 20;

/** `<snake case base>_<10 random><extension>`; a double extension such as `.tar.gz` is kept. */
export function storedFileName(file: Pick<UploadedFile, "name" | "mime">): string {
  const name = file.name.replace(/\/+$/, "").replace(/^.*\//s, "").slice(-NAME_MAX);
  const original = extensionOf(name);
  let extension = withoutDots(original.replace(/[^\w.*\-+=#]+/g, ""));
  if (extension !== "") extension = `.${extension}`;
  else extension = endingOf(file.mime);
  if (extension.length > EXTENSION_MAX) extension = `.${withoutDots(extension.slice(-EXTENSION_MAX))}`;
  let base = snakeCase(withoutDots(name.slice(0, name.length - original.length)));
  if (base.length < 3) base += randomText(10, ID_ALPHABET);
  return `${base.slice(0, BASE_MAX)}_${randomText(10, ID_ALPHABET)}${extension}`;
}

function extensionOf(name: string): string {
  const last = name.lastIndexOf(".");
  if (last < 0) return "";
  const double = name.slice(0, last).lastIndexOf(".");
  return name.slice(double < 0 ? last : double);
}

function withoutDots(text: string): string {
  return text.replace(/^\.+|\.+$/g, "");
}

function snakeCase(text: string): string {
  return text
    .split(/[^0-9A-Za-z]+/)
    .filter((word) => word !== "")
    .map((word) => word.replace(/(?<=[^A-Z])[A-Z]/g, (letter) => `_${letter}`))
    .join("_")
    .toLowerCase();
}
