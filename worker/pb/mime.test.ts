import { expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { contentTypeOf, sniffMime } from "./mime.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** content, type with its character set */
test.each<[string | Uint8Array, string]>([
  ["", "text/plain"],
  ["plain", "text/plain; charset=utf-8"],
  ["a,b\n1,2", "text/csv"],
  ['a,"b\n,c"\n# not a line\n1,2\n', "text/csv"],
  ["a,b\n1,2,3\n", "text/plain; charset=utf-8"],
  ["a,b", "text/plain; charset=utf-8"],
  ["a\tb\n1\t2", "text/tab-separated-values"],
  ['{"a":1}', "application/json"],
  ['{"a":1}\n[2]\n', "application/x-ndjson"],
  ['{"type":"FeatureCollection","features":[]}', "application/geo+json"],
  ["1", "text/plain; charset=utf-8"],
  ["<html><body>", "text/html; charset=utf-8"],
  ['<?xml version="1.0"?><a/>', "text/xml; charset=utf-8"],
  ['<svg width="1" xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"],
  ["<?php echo 1;", "text/x-php"],
  ["#!/bin/sh\n", "text/x-shellscript"],
  ["#!/usr/bin/env python3\n", "text/x-python"],
  ["#!/usr/bin/env -S node\n", "text/javascript"],
  ["1\n00:00:01,000 --> 00:00:02,000\nx", "application/x-subrip"],
  ["WEBVTT\n", "text/vtt"],
  ["{\\rtf1 x}", "text/rtf"],
  ["BEGIN:VCARD\nx", "text/vcard"],
  ["BEGIN:VCARD", "text/plain; charset=utf-8"],
  [Uint8Array.of(0x61, 0xe9, 0x62), "text/plain; charset=iso-8859-1"],
  [Uint8Array.of(0x61, 0x93, 0x62), "text/plain"],
  ["caf\u00e9\n", "text/plain; charset=utf-8"],
  ["caf\u00e9", "text/plain; charset=iso-8859-1"],
  ["n\u00e9 caf\u00e9", "text/plain; charset=utf-8"],
  [Uint8Array.of(0x61, 0xe9), "text/plain; charset=iso-8859-1"],
  ["#EXTM3U\n", "application/vnd.apple.mpegurl"],
  ['<?xml version="1.0" encoding="ISO-8859-1"?><a/>', "text/xml; charset=ISO-8859-1"],
  ['<?xml version="1.0"?><rss version="2.0"/>', "application/rss+xml"],
  ['<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"/>', "application/atom+xml"],
  ['<?xml version="1.0"?><feed/>', "text/xml; charset=utf-8"],
  [".snd\0\0\0\u0018", "audio/basic"],
  [Uint8Array.of(0xff, 0xfe, 0x61, 0x00), "text/plain; charset=utf-16le"],
  [Uint8Array.of(0x00, 0x01, 0x02, 0x03), "application/octet-stream"],
  ["ID3\u0003\0\0\0\0", "audio/mpeg"],
  ["OggS\0\u0002", "application/ogg"],
  ["MZ\u0090\0\u0003", "application/vnd.microsoft.portable-executable"],
  ["SQLite format 3\0", "application/vnd.sqlite3"],
])("the content type of %p is %p", async (content, expected) => {
  const head = typeof content === "string" ? bytes(content) : content;
  expect(contentTypeOf(await sniffMime(head), head)).toBe(expected);
});

/** The beginnings of the entries of an archive, as they stand in it. */
const archive = (...names: string[]): Uint8Array =>
  Buffer.concat(
    names.map((name) => {
      const header = Buffer.alloc(30);
      header.write("PK\u0003\u0004", "latin1");
      header.writeUInt16LE(name.length, 26);
      return Buffer.concat([header, Buffer.from(name)]);
    }),
  );
const OFFICE = "application/vnd.openxmlformats-officedocument";

/** entries, type */
test.each<[string[], string]>([
  [["[Content_Types].xml", "_rels/.rels", "word/document.xml"], `${OFFICE}.wordprocessingml.document`],
  [["_rels/.rels", "docProps/app.xml", "word/document.xml"], `${OFFICE}.wordprocessingml.document`],
  [["xl/workbook.xml", "[Content_Types].xml"], `${OFFICE}.spreadsheetml.sheet`],
  [["[Content_Types].xml", "ppt/presentation.xml"], `${OFFICE}.presentationml.presentation`],
  [["notes.txt", "word/document.xml"], "application/zip"],
  [["META-INF/MANIFEST.MF", "AndroidManifest.xml"], "application/vnd.android.package-archive"],
  [["doc.kml"], "application/vnd.google-earth.kmz"],
  [["a.txt"], "application/zip"],
])("an archive of %p is %p", async (names, expected) => {
  expect(await sniffMime(archive(...names))).toBe(expected);
});

/** The class of the root, the sector of the directory, type. */
test.each<[string, number, string]>([
  ["0609020000000000c000000000000046", 0, "application/msword"],
  ["2008020000000000c000000000000046", 3, "application/vnd.ms-excel"],
  ["108d81649b4fcf1186ea00aa00b929e8", 1, "application/vnd.ms-powerpoint"],
  ["0609020000000000c000000000000046", 10, "application/x-ole-storage"],
  ["00".repeat(16), 0, "application/x-ole-storage"],
])("an OLE file of %s at sector %d is %s", async (type, sector, expected) => {
  const file = Buffer.alloc(7000);
  file.write("d0cf11e0a1b11ae1", "hex");
  file.writeUInt32LE(sector, 48);
  file.write(type, 512 * (sector + 1) + 80, "hex");
  expect(await sniffMime(file.subarray(0, limits.sniffBytesMax))).toBe(expected);
});
