import { run } from "../run.ts";
import { denoParts } from "./deno.ts";
import { runThread } from "./threads.ts";

runThread(run, denoParts);
