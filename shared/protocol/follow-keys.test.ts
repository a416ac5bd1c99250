import { describe, expect, test } from "bun:test";
import { followKeys } from "./follow-keys.ts";
import { signGrant, verifyGrant } from "./grant.ts";
import { LiveKeyring, joinKeyrings, parseKeyring } from "./keys.ts";
import { parseEpoch, parseIncarnation, parseTenantId } from "../ids.ts";

const key = (id: string, letter: string): string => `${id}:${letter.repeat(44)}`;
const OLD = key("old", "A");
const NEW = key("new", "B");

function follow(first: string) {
  const ring = new LiveKeyring(parseKeyring(first, "test"));
  const told: string[] = [];
  let text: string | undefined = first;
  const stop = new AbortController();
  const look = followKeys(
    {
      ring,
      name: "gateway.key",
      read: () => {
        if (text === undefined) throw new Error("Cannot read gateway.key: gone");
        return text;
      },
      told: (_, message) => void told.push(message),
    },
    stop.signal,
  );
  stop.abort();
  return {
    ring,
    told,
    write: (next: string | undefined) => {
      text = next;
      look();
    },
  };
}

describe("followKeys", () => {
  test("the three steps of a rotation, and a grant of each verifies on the next", () => {
    const grant = {
      tenant: parseTenantId("a".repeat(15)),
      epoch: parseEpoch(1),
      incarnation: parseIncarnation(1),
    };
    const gateway = follow(OLD);
    const worker = follow(OLD);
    const passes = () =>
      typeof verifyGrant(worker.ring, signGrant(gateway.ring, grant, "GET", "/", 0), "GET", "/", 1) ===
      "object";
    for (const step of [`${OLD}\n${NEW}`, `${NEW},${OLD}`, NEW]) {
      gateway.write(step);
      expect(passes()).toBe(true);
      worker.write(step);
      expect(passes()).toBe(true);
    }
    expect(gateway.ring.signing.id).toBe("new");
    expect([...worker.ring.byId.keys()]).toEqual(["new"]);
    expect(gateway.told.join()).not.toContain("BBBB");
  });

  test("a file that is gone or broken changes nothing, and is told once", () => {
    const one = follow(OLD);
    for (const bad of [undefined, undefined, "nonsense", "nonsense", ""]) one.write(bad);
    expect(one.ring.signing.id).toBe("old");
    expect(one.told).toHaveLength(3);
    one.write(NEW);
    expect(one.ring.signing.id).toBe("new");
  });
});

test("joined keyrings are as their parts are now", () => {
  const [a, b] = [new LiveKeyring(parseKeyring(OLD, "a")), new LiveKeyring(parseKeyring(NEW, "b"))];
  const both = joinKeyrings(a, b);
  expect([...both.byId.keys()]).toEqual(["old", "new"]);
  b.replace(parseKeyring(key("third", "C"), "b"));
  expect([...both.byId.keys()]).toEqual(["old", "third"]);
  expect(both.signing.id).toBe("old");
});
