/** A thread of a statement process: the process's own thread hears of nothing while SQLite works, not even that its parent died. */
import { limits } from "../../shared/limits.ts";

const parent = process.ppid;

setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
}, limits.sqlParentCheckMs);
