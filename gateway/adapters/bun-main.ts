import { runGateway } from "../run.ts";
import { bunRuntime } from "./bun.ts";

await runGateway(bunRuntime());
