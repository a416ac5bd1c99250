/** Compiled filters against hand-written SQL on the same connection: `bun test/bench/filter.ts`. Prints ratios, higher is better. */
import { openFixture } from "../../worker/query/fixture.ts";
import { buildList } from "../../worker/query/list.ts";
import type { ListInput } from "../../worker/query/contract.ts";
import type { SqlValue } from "../../worker/sqlite/contract.ts";

const ROWS_SQL = `
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
  INSERT INTO companies SELECT 'company' || i, 'Company ' || i, 'C' || (i % 20), '' FROM n WHERE i <= 200;
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
  INSERT INTO users SELECT 'user' || i, 'u' || i || '@x.no', 1, 1, 'x', 'User ' || i, 'writer', 'company' || (i % 200 + 1), '[]' FROM n;
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
  INSERT INTO posts SELECT 'post' || i, 'Title of post ' || i, i % 1000, i % 2, 'news', '["red"]', '[]', '{"n":' || i || '}',
    '{"lon":10,"lat":59}', '2024-01-01 00:00:00.000Z', 'user' || (i % 2000 + 1),
    json_array('user' || (i % 1999 + 1), 'user' || (i % 1777 + 1)) FROM n;
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
  INSERT INTO comments SELECT 'comment' || i, 'text', i % 5, 'post' || (i % 10000 + 1), 'user' || (i % 2000 + 1) FROM n;
  CREATE INDEX idx_posts_author ON posts (author);
  CREATE INDEX idx_posts_views ON posts (views);
`;

const fixture = openFixture(ROWS_SQL);
const { db } = fixture;
const context = fixture.context("posts");

/** Runs per second: the best of several rounds, so that a neighbour's work does not count. */
function rate(run: () => unknown): number {
  run();
  let best = 0;
  for (let round = 0; round < 7; round += 1) {
    const start = performance.now();
    let runs = 0;
    while (performance.now() - start < 150) {
      run();
      runs += 1;
    }
    best = Math.max(best, (runs * 1_000) / (performance.now() - start));
  }
  return best;
}

function compare(name: string, input: ListInput, sql: string, params: SqlValue[]): void {
  const compiled = () => {
    const { items } = buildList(context, { ...input, skipTotal: true });
    return JSON.stringify(db.all(items.sql, items.params));
  };
  const written = () => JSON.stringify(db.all(sql, params));
  const same = compiled() === written();
  const [ours, raw] = [rate(compiled), rate(written)];
  const ratio = (ours / raw).toFixed(2);
  console.log(
    `${name.padEnd(44)} ${ratio}x of hand-written (${Math.round(ours)}/s)${same ? "" : "  OTHER ROWS"}`,
  );
}

compare("30 records", {}, "SELECT * FROM posts LIMIT 30", []);
compare(
  "30 records, filter and sort",
  { filter: "views > 500 && active = true", sort: "-views" },
  "SELECT * FROM posts WHERE views > ? AND active = 1 ORDER BY views DESC LIMIT 30",
  [500],
);
compare(
  "two single joins",
  { filter: "author.company.country = 'C7'" },
  `SELECT p.* FROM posts p JOIN users u ON u.id = p.author JOIN companies c ON c.id = u.company WHERE c.country = ?
    ORDER BY p.id LIMIT 30`,
  ["C7"],
);
compare(
  "two single joins, all rows",
  { filter: "author.company.country = 'C7'", perPage: 1_000, sort: "-views,id" },
  `SELECT p.* FROM posts p JOIN users u ON u.id = p.author JOIN companies c ON c.id = u.company WHERE c.country = ?
    ORDER BY p.views DESC, p.id LIMIT 1000`,
  ["C7"],
);
compare(
  "two joins over a multiple relation, any",
  { filter: "editors.company.country ?= 'C7'", sort: "-views" },
  `SELECT DISTINCT p.* FROM posts p JOIN json_each(p.editors) e JOIN users u ON u.id = e.value
    JOIN companies c ON c.id = u.company WHERE c.country = ? ORDER BY p.views DESC LIMIT 30`,
  ["C7"],
);
compare(
  "two joins over a back relation, any",
  { filter: "comments_via_post.by.name ?= 'User 7'", sort: "id" },
  `SELECT DISTINCT p.* FROM posts p JOIN comments c ON c.post = p.id JOIN users u ON u.id = c.by WHERE u.name = ? ORDER BY p.id LIMIT 30`,
  ["User 7"],
);
compare(
  "two joins over a multiple relation, every",
  { filter: "editors.company.country = 'C7'" },
  `SELECT p.* FROM posts p WHERE EXISTS (SELECT 1 FROM json_each(p.editors) e JOIN users u ON u.id = e.value
      JOIN companies c ON c.id = u.company WHERE c.country = ?1)
    AND NOT EXISTS (SELECT 1 FROM json_each(p.editors) e LEFT JOIN users u ON u.id = e.value
      LEFT JOIN companies c ON c.id = u.company WHERE c.country != ?1) ORDER BY p.id LIMIT 30`,
  ["C7"],
);

let number = 0;
const warm = rate(() =>
  buildList(context, { filter: `author.name = 'x${(number += 1)}' && views > ${number}` }),
);
console.log(`${"compile, known shape, new values".padEnd(44)} ${(1e6 / warm).toFixed(1)} µs`);
const cold = rate(() =>
  buildList(context, { filter: "author.name = 'x' && views > 1", rule: `views != ${(number += 1)}` }),
);
console.log(`${"compile, new rule".padEnd(44)} ${(1e6 / cold).toFixed(1)} µs`);
fixture.close();
