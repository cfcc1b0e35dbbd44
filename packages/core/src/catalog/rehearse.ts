/**
 * A rehearsal of gc: versions expire in a transaction that is rolled back, so that what gc would find is counted exactly and nothing is
 * changed. Other processes keep reading the state before; writers wait until it is over.
 */
import type { Op } from "../model/entry.ts";
import { expireVersions } from "./apply-datasets.ts";
import { Chunks } from "./chunks.ts";
import { type DeadOptions, findDead } from "./liveness.ts";
import type { DeadRows, PackLiveness } from "./rows.ts";
import type { Sqlite } from "./sqlite.ts";

export type ExpireOp = Extract<Op, { readonly op: "expire" }>;

/** What gc would find. */
export interface Rehearsal {
  readonly dead: DeadRows;
  readonly packs: readonly PackLiveness[];
}

/** Carries the result out of the transaction while making it roll back. */
class Undo extends Error {
  readonly found: Rehearsal;

  constructor(found: Rehearsal) {
    super("rolled back on purpose");
    this.found = found;
  }
}

/** What would be dead if these versions expired. */
export function rehearseExpiry(
  sqlite: Sqlite,
  expiries: readonly ExpireOp[],
  options: DeadOptions,
): Rehearsal {
  const look = (): Rehearsal => {
    const dead = findDead(sqlite, options);
    return { dead, packs: new Chunks(sqlite).packLiveness(dead.chunks) };
  };
  if (expiries.length === 0) return sqlite.read(look);
  try {
    return sqlite.write(() => {
      for (const op of expiries) expireVersions({ sqlite }, op);
      throw new Undo(look());
    });
  } catch (error) {
    if (error instanceof Undo) return error.found;
    throw error;
  }
}
