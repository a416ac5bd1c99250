import { denoRuntime } from "./adapters/deno.ts";
import { runGateway } from "./run.ts";

await runGateway(denoRuntime());
