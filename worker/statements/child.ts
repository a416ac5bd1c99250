/** The process of statement-process.ts: answers one question after another, and is killed when one takes too long. */
import { limits } from "../../shared/limits.ts";
import type { SqlRow, SqlValue } from "../sqlite/contract.ts";
import { TransactionLostError } from "../sqlite/raw.ts";
import { ChildConnection } from "./child-connection.ts";
import type { Question, Told } from "./messages.ts";
import { planOf, select } from "./select.ts";

const connection = new ChildConnection();
const tell = (told: Told): void => void process.send?.(told);

function answer(question: Question): Told {
  switch (question.type) {
    case "open":
      connection.open(question);
      return { type: "done" };
    case "run": {
      const { ran, rows } = connection.run(question);
      tellRows(rows);
      return { type: "ran", ran };
    }
    case "describe":
      return { type: "described", described: connection.describe(question.sql) };
    case "commit":
      connection.commit();
      return { type: "done" };
    case "close":
      connection.close();
      return { type: "done" };
    case "select": {
      const { rows, cut } = select(question);
      tellRows(rows);
      return { type: "selected", cut };
    }
    case "plan":
      return planOf(question.path, question.sql);
  }
}

/** In pieces: taking one in must not hold up the worker. */
function tellRows(rows: readonly (SqlValue[] | SqlRow)[]): void {
  for (let at = 0; at < rows.length; at += limits.sqlRowsPerMessage)
    tell({ type: "rows", rows: rows.slice(at, at + limits.sqlRowsPerMessage) as SqlValue[][] });
}

function failed(error: unknown): Told {
  const cause = error instanceof TransactionLostError ? error.cause : error;
  const { name, message, errno, code } = cause as Partial<Record<"name" | "message" | "code", string>> & {
    errno?: number;
  };
  return {
    type: "failed",
    name: name === "SqlRefused" ? "SqlRefused" : "SQLiteError",
    message: message ?? String(cause),
    errno: errno ?? 1,
    code: code ?? "SQLITE_ERROR",
    isLost: error instanceof TransactionLostError,
  };
}

process.on("message", (question: Question) => {
  let told: Told;
  try {
    told = answer(question);
  } catch (error) {
    told = failed(error);
  }
  tell(told);
});
// Whoever started it is gone.
process.on("disconnect", () => process.exit(0));
void new Worker(new URL("./watchdog.ts", import.meta.url).href);
tell({ type: "ready" });
