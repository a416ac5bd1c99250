import { run } from "../run.ts";
import { bunParts } from "./bun.ts";
import { runThread } from "./threads.ts";

runThread(run, bunParts);
