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
    await once(key, () => make(store, originalKey, key, size));
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

async function make(store: ObjectStore, from: string, to: string, size: string): Promise<void> {
  const signal = AbortSignal.timeout(limits.thumbWaitMsMax);
  const original = await getBytes(store, from, { signal });
  if (original === undefined) throw new Error("the original is gone");
  const image = sharp(original, { limitInputPixels: limits.thumbPixelsMax });
  const { format, autoOrient } = await image.metadata();
  const resized = image.autoOrient().resize(resizeOptions(size, autoOrient));
  const { data, info } = await encode(resized, format).toBuffer({ resolveWithObject: true });
  await store.putIfAbsent(to, new Uint8Array(data), { contentType: `image/${info.format}`, signal });
}

/** In the format of the original, whatever its name says; PNG where that is neither JPEG nor GIF. */
function encode(image: Sharp, original: string): Sharp {
  if (original === "jpeg") return image.jpeg({ quality: 95 });
  return original === "gif" ? image.gif() : image.png();
}

interface Size {
  width: number;
  height: number;
}

function resizeOptions(size: string, original: Size): ResizeOptions {
  const match = /^(\d+)x(\d+)(t|b|f)?$/.exec(size);
  const width = Number(match?.[1] ?? 0);
  const height = Number(match?.[2] ?? 0);
  if (width === 0 && height === 0) throw new Error(`not a thumb size: ${size}`);
  if (width === 0) return { height };
  if (height === 0) return { width };
  if (match?.[3] === "f") return { ...fitted(original, { width, height }), fit: "fill" };
  const position = match?.[3] === "t" ? "top" : match?.[3] === "b" ? "bottom" : "centre";
  return { width, height, fit: "cover", position };
}

/** Never larger than the original; the side that follows from the other is cut, not rounded, as PocketBase does. */
function fitted(original: Size, box: Size): Size {
  if (original.width <= box.width && original.height <= box.height) return original;
  const ratio = original.width / original.height;
  if (ratio > box.width / box.height) {
    return { width: box.width, height: Math.max(1, Math.trunc(box.width / ratio)) };
  }
  return { width: Math.max(1, Math.trunc(box.height * ratio)), height: box.height };
}
