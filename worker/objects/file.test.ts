import { afterAll } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { objectStoreContract } from "./contract.suite.ts";
import { openFileStore } from "./file/file-store.ts";

const home = await mkdtemp(join(tmpdir(), "manybase-file-"));
let stores = 0;

afterAll(() => rm(home, { recursive: true }));

objectStoreContract("file", () => openFileStore(join(home, String(stores++))));
