import { expect, test } from "bun:test";
import sharp from "sharp";
import { logoOf } from "./logo.ts";
import { PROVIDERS } from "./table.ts";

test.each(Object.keys(PROVIDERS))("%s has a small logo that can be drawn", async (provider) => {
  const logo = logoOf(provider);
  expect(logo).toStartWith("<svg");
  expect(logo.length).toBeLessThan(4_000);
  // Nothing in it that runs, or that is fetched from elsewhere.
  expect(logo).not.toMatch(/<script|<image|\bon\w+=|href=|url\((?!#)|@import/i);
  const drawn = await sharp(Buffer.from(logo)).resize(24, 24, { fit: "contain" }).ensureAlpha().stats();
  expect(drawn.channels[3]?.max).toBe(255);
});
