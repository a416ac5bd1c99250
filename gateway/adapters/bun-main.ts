import { runGateway } from "../run.ts";
import { allowManyRequests } from "./bun-requests.ts";
import { bunRuntime } from "./bun.ts";

allowManyRequests();
await runGateway(bunRuntime());
