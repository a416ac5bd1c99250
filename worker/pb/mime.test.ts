import { expect, test } from "bun:test";
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
  [Uint8Array.of(0x61, 0x93, 0x62), "text/plain; charset=windows-1252"],
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
