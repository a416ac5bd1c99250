/** Thumbs of images: made when first asked for, kept in the store beside the original. */
import sharp, { type ResizeOptions, type Sharp } from "sharp";
import { limits } from "../../../shared/limits.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { getBytes } from "../../../shared/objects/read.ts";
import type { Field } from "../../../shared/schema/collection.ts";
import { createLog } from "../../log.ts";
import { factsOf } from "./serve.ts";

const log = createLog("thumbs");
const SOURCES = new Set(["image/png", "image/jpg", "image/jpeg", "image/gif", "image/webp"]);
const ALWAYS = "100x100";

const running = new Map<string, Promise<void>>();
let busy = 0;
const waiting: (() => void)[] = [];

/** Undefined when the original is to be served: no or an unlisted size, not an image, or one that cannot be resized. */
export async function thumbOf(
  store: ObjectStore,
  originalKey: string,
  originalName: string,
  size: string,
  field: Field,
  signal: AbortSignal,
): Promise<{ key: string; name: string } | undefined> {
  const listed = Array.isArray(field["thumbs"]) ? field["thumbs"] : [];
  if (size === "" || (size !== ALWAYS && !listed.includes(size))) return undefined;
  const { mime, size: bytes } = await factsOf(store, originalKey, signal);
  if (!SOURCES.has(mime) || bytes > limits.thumbSourceBytesMax) return undefined;
  const name = `${size}_${originalName}`;
  const key = `${originalKey.slice(0, originalKey.length - originalName.length)}thumbs_${originalName}/${name}`;
  if ((await store.head(key, { signal })) !== undefined) return { key, name };
  try {
    await once(key, () => make(store, originalKey, key, name, size));
    return { key, name };
  } catch (error) {
    log.warn({ err: error, key }, "could not make a thumb: serving the original");
    return undefined;
  }
}

/** The same thumb is made once, few at a time. */
function once(key: string, task: () => Promise<void>): Promise<void> {
  const known = running.get(key);
  if (known !== undefined) return known;
  const started = inTurn(task).finally(() => running.delete(key));
  running.set(key, started);
  return started;
}

async function inTurn(task: () => Promise<void>): Promise<void> {
  if (waiting.length >= limits.thumbsWaitingMax) throw new Error("too many thumbs are waiting to be made");
  if (busy >= limits.thumbsParallel) await new Promise<void>((resolve) => waiting.push(resolve));
  busy += 1;
  try {
    await task();
  } finally {
    busy -= 1;
    waiting.shift()?.();
  }
}

async function make(store: ObjectStore, from: string, to: string, name: string, size: string): Promise<void> {
  const signal = AbortSignal.timeout(limits.thumbWaitMsMax);
  const original = await getBytes(store, from, { signal });
  if (original === undefined) throw new Error("the original is gone");
  const image = sharp(original, { limitInputPixels: limits.thumbPixelsMax }).rotate();
  const { data, info } = await encode(image.resize(resizeOptions(size)), name).toBuffer({
    resolveWithObject: true,
  });
  await store.putIfAbsent(to, new Uint8Array(data), { contentType: `image/${info.format}`, signal });
}

function resizeOptions(size: string): ResizeOptions {
  const match = /^(\d+)x(\d+)(t|b|f)?$/.exec(size);
  const width = Number(match?.[1] ?? 0);
  const height = Number(match?.[2] ?? 0);
  if (width === 0 && height === 0) throw new Error(`not a thumb size: ${size}`);
  if (width === 0) return { height };
  if (height === 0) return { width };
  if (match?.[3] === "f") return { width, height, fit: "inside", withoutEnlargement: true };
  const position = match?.[3] === "t" ? "top" : match?.[3] === "b" ? "bottom" : "centre";
  return { width, height, fit: "cover", position };
}

/** In the original's format as its name tells; png where that is none. */
function encode(image: Sharp, name: string): Sharp {
  const extension = name.slice(name.lastIndexOf(".") + 1).toLowerCase();
  if (extension === "jpg" || extension === "jpeg") return image.jpeg({ quality: 95 });
  if (extension === "gif") return image.gif();
  return extension === "webp" ? image.webp() : image.png();
}
