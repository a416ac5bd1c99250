import { expect, test } from "bun:test";
import type { Revision } from "../../shared/ids.ts";
import { watchHistory } from "./watch.ts";
import { WatchHistory } from "./watch-history.ts";

test("a replica behind the revision that is asked for confirms nothing until it has reached it", async () => {
  let revision = 3;
  let waits = 0;
  const source = {
    history: () => new WatchHistory(0),
    revision: () => revision,
    changed: () => {
      waits += 1;
      if (waits === 5) revision = 7;
      return Promise.resolve(false);
    },
  };
  const events = watchHistory(source, "", 7 as Revision, new AbortController().signal);
  expect((await events.next()).value).toEqual({ progress: 7 as Revision });
  expect(waits).toBe(5);
});
