import { describe, expect, test } from "bun:test";
import { helpText, parseListen, parseOptions } from "./options.ts";

const specs = {
  port: { value: "<port>", env: "MANYBASE_PORT", default: "8080", help: "Where to listen." },
  json: { help: "For machines." },
};

describe("parseOptions", () => {
  test("takes the command line before the environment before the default", () => {
    expect(parseOptions(specs, [], {}).values.port).toBe("8080");
    expect(parseOptions(specs, [], { MANYBASE_PORT: "81" }).values.port).toBe("81");
    expect(parseOptions(specs, ["--port", "82"], { MANYBASE_PORT: "81" }).values.port).toBe("82");
    expect(parseOptions(specs, ["--port=83"], {}).values.port).toBe("83");
  });

  test("treats an empty variable as not set", () => {
    expect(parseOptions(specs, [], { MANYBASE_PORT: "" }).values.port).toBe("8080");
  });

  test("separates switches, words and help", () => {
    expect(parseOptions(specs, ["a", "--json", "b", "-h"], {})).toEqual({
      values: { port: "8080", json: "true" },
      positionals: ["a", "b"],
      help: true,
    });
  });

  test.each(["--nope", "--port", "--port --json", "--constructor"])("refuses %p", (line) => {
    expect(() => parseOptions(specs, line.split(" "), {})).toThrow(/Cannot read --/);
  });
});

test("helpText names flags, variables and defaults", () => {
  const text = helpText("bun run x", "Runs x.", specs);
  expect(text).toContain("--port <port>  Where to listen. [MANYBASE_PORT] (default 8080)");
  expect(text).toContain("--json         For machines.");
});

describe("parseListen", () => {
  test.each([
    ["127.0.0.1:80", "127.0.0.1", 80],
    [":81", "127.0.0.1", 81],
    ["82", "127.0.0.1", 82],
    ["[::1]:83", "[::1]", 83],
    ["0.0.0.0:0", "0.0.0.0", 0],
  ])("reads %p", (text, hostname, port) => {
    expect(parseListen(text, "--listen")).toEqual({ hostname, port });
  });
  test.each(["", "a", "1:2:3", "127.0.0.1:70000", "127.0.0.1:"])("refuses %p", (text) => {
    expect(() => parseListen(text, "--listen")).toThrow("Cannot read --listen");
  });
});
