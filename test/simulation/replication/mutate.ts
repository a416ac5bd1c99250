/** Preloaded into a child process of the simulation: changes one place of the product's code as it is loaded. */
import { resolve } from "node:path";
import { plugin } from "bun";
import { MUTATIONS } from "./mutations.ts";

const ROOT = resolve(import.meta.dir, "../../..");
const wanted = process.env["SIMULATION_MUTATION"];
const mutation = MUTATIONS.find(({ name }) => name === wanted);
if (mutation === undefined) throw new Error(`Cannot mutate: there is no mutation ${wanted}`);
const { change } = mutation;
if (change !== undefined) {
  const path = resolve(ROOT, change.file);
  const source = await Bun.file(path).text();
  const parts = source.split(change.find);
  if (parts.length !== 2) {
    throw new Error(`Cannot mutate ${change.file}: the text occurs ${parts.length - 1} times, not once`);
  }
  plugin({
    name: "mutation",
    setup(build) {
      build.onLoad({ filter: new RegExp(`${change.file.replaceAll(/[./]/g, "\\$&")}$`) }, () => ({
        contents: parts.join(change.replace),
        loader: "ts",
      }));
    },
  });
}
