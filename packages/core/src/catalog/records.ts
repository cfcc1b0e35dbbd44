/**
 * Records as of a version: one by id, by name, pages and counts of a query, and what differs between two versions.
 *
 * Nothing here checks that a version is kept: rows of an expired version are gone, and a read of it would find too few. Callers check
 * `hasVersion` in the same `read` transaction.
 */
import { UsageError } from "@tensorcask/codec";
import type { JsonObject } from "../model/entry.ts";
import { bindable, plainBytes } from "./chunks.ts";
import { currentVersion } from "./datasets.ts";
import { recordRange, visible, visibleAt } from "./files.ts";
import { indexName, isIndexed } from "./metadata-index.ts";
import { nameHash } from "./names.ts";
import type { RecordQuery, RecordRow } from "./rows.ts";
import type { Sqlite, SqlValue } from "./sqlite.ts";
import { compileWhere, type FieldCondition } from "./where.ts";

/** Records of one name that a lookup returns: enough to list the candidates of an ambiguous name. */
export const NAMED_LIMIT = 32;
/** Up to so many rows, an index that finds them out of order beats reading all records in order. */
const RANGE_ROWS = 10_000;
/** Fetched by one step of a walk over all changes. */
const PAGE_RECORDS = 4096;

interface RecordColumns {
  readonly id: Buffer;
  readonly file: number;
  readonly filePath: string | null;
  readonly name: string | null;
  readonly metadata: string | null;
  readonly tensor: number;
  readonly added: number;
}

// A file's rows (it may have come back by a rollback) all have the same path.
const columns = `
  r.id, r.file, iif(r.file = 0, NULL, (SELECT f.path FROM file f WHERE f.file = r.file LIMIT 1)) AS filePath,
  r.name, r.metadata, r.tensor, r.added`;

function recordRow(row: RecordColumns): RecordRow {
  return {
    id: plainBytes(row.id),
    file: row.file,
    ...(row.filePath === null ? {} : { filePath: row.filePath }),
    ...(row.name === null ? {} : { name: row.name }),
    ...(row.metadata === null ? {} : { metadata: JSON.parse(row.metadata) as JsonObject }),
    tensor: row.tensor,
    added: row.added,
  };
}

/** A query as SQL: `FROM ... WHERE ...`, its parameters, and whether it finds few rows through an index that does not keep their order. */
export interface RecordPlan {
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
  readonly unordered: boolean;
}

const nothing = new Uint8Array(0);

export class Records {
  readonly #sqlite: Sqlite;

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
  }

  byId(dataset: number, version: number, id: Uint8Array): RecordRow | undefined {
    const current = currentVersion(this.#sqlite, dataset);
    if (current === undefined) {
      return undefined;
    }
    const row = this.#sqlite.row<RecordColumns>(
      `SELECT ${columns} FROM record r WHERE r.dataset = ? AND r.id = ? AND ${visible(false, "r.")}
       ORDER BY r.added DESC LIMIT 1`,
      dataset,
      bindable(id),
      ...visibleAt(false, version),
    );
    return row === undefined ? undefined : recordRow(row);
  }

  /** Records of this name by id, the first 32; only those of `file` when it is given (0: those without a file). */
  named(dataset: number, version: number, name: string, file?: number): RecordRow[] {
    return this.#sqlite.read(() => this.#named(dataset, version, name, file));
  }

  #named(dataset: number, version: number, name: string, file: number | undefined): RecordRow[] {
    if (currentVersion(this.#sqlite, dataset) === undefined) {
      return [];
    }
    // Files of one model often repeat its names: the id range of the file's records picks them out of the index.
    const range = file === undefined || file === 0 ? undefined : recordRange(this.#sqlite, file);
    if (file !== undefined && file !== 0 && range === undefined) {
      return [];
    }
    const rows = this.#sqlite.rows<RecordColumns>(
      `SELECT ${columns} FROM name n CROSS JOIN record r ON r.dataset = ? AND r.id = n.id
       WHERE n.hash = ?${range === undefined ? "" : " AND n.id BETWEEN ? AND ?"}
       AND r.name = ? AND ${visible(false, "r.")}${file === undefined ? "" : " AND r.file = ?"} ORDER BY n.id LIMIT ${NAMED_LIMIT}`,
      dataset,
      nameHash(dataset, name),
      ...(range ?? []),
      name,
      ...visibleAt(false, version),
      ...(file === undefined ? [] : [file]),
    );
    return rows.map(recordRow);
  }

  /** Plans a query; undefined when it cannot find anything. Call it inside `read`. */
  plan(query: RecordQuery): RecordPlan | undefined {
    const { dataset, version, where, file, name } = query;
    const newest = currentVersion(this.#sqlite, dataset);
    if (newest === undefined) {
      return undefined;
    }
    const current = version === newest;
    let join = "";
    const joined: SqlValue[] = [];
    if (query.dtype !== undefined || query.shape !== undefined) {
      // CROSS JOIN keeps SQLite from starting at the tensors, where it would lose the order of ids.
      join += " CROSS JOIN tensor t ON t.tensor = r.tensor CROSS JOIN form o ON o.form = t.form";
      if (query.dtype !== undefined) {
        join += " AND o.dtype = ?";
        joined.push(query.dtype);
      }
      if (query.shape !== undefined) {
        join += " AND o.shape = ?";
        joined.push(JSON.stringify(query.shape));
      }
    }
    const filters = [`r.dataset = ? AND ${visible(current, "r.")}`];
    const parameters: SqlValue[] = [...joined, dataset, ...visibleAt(current, version)];
    if (file !== undefined) {
      filters.push("r.file = ?");
      parameters.push(file);
      if (file !== 0) {
        const range = recordRange(this.#sqlite, file);
        if (range === undefined) {
          return undefined;
        }
        filters.push("r.id BETWEEN ? AND ?");
        parameters.push(...range);
      }
    }
    if (name !== undefined) {
      filters.push("r.id IN (SELECT id FROM name WHERE hash = ?) AND r.name = ?");
      parameters.push(nameHash(dataset, name), name);
    }
    const conditions = where === undefined ? [] : compileWhere(where, "r.metadata");
    for (const condition of conditions) {
      filters.push(condition.sql);
      parameters.push(...condition.parameters);
    }
    // A name finds few records already.
    const index = name === undefined ? this.#index(dataset, conditions) : undefined;
    if (index !== undefined) {
      // The index leaves out records without the path; SQLite wants to hear that they are not asked for.
      filters.push(`${index.value} IS NOT NULL`);
    }
    return {
      sql: `FROM record r${index === undefined ? "" : ` INDEXED BY "${index.name}"`}${join} WHERE ${filters.join(" AND ")}`,
      parameters,
      unordered: index?.inOrder === false,
    };
  }

  /**
   * The index to read a query through: one that keeps the order of ids; or one that finds few rows, which are sorted then. A range over
   * many rows is better read in order, testing each, than found and sorted again for every page.
   */
  #index(
    dataset: number,
    conditions: readonly FieldCondition[],
  ): { readonly name: string; readonly value: string; readonly inOrder: boolean } | undefined {
    const usable = conditions.filter(
      ({ path, lookup }) => lookup !== undefined && isIndexed(this.#sqlite, path),
    );
    const equal = usable.find(({ lookup }) => lookup?.inOrder === true);
    if (equal !== undefined) {
      return { name: indexName(equal.path), value: equal.value, inOrder: true };
    }
    for (const { path, value, lookup } of usable) {
      const name = indexName(path);
      const found = this.#sqlite.value<number>(
        `SELECT count(*) FROM (SELECT 1 FROM record r INDEXED BY "${name}"
         WHERE r.dataset = ? AND ${lookup!.sql} AND ${value} IS NOT NULL LIMIT ${RANGE_ROWS + 1})`,
        dataset,
        ...lookup!.parameters,
      );
      if (found !== undefined && found <= RANGE_ROWS) {
        return { name, value, inOrder: false };
      }
    }
    return undefined;
  }

  /** The next `limit` records of a query behind the id `cursor`, by id. */
  page(query: RecordQuery, cursor: Uint8Array | undefined, limit: number): RecordRow[] {
    return this.#sqlite.read(() => {
      const plan = this.plan(query);
      if (plan === undefined) {
        return [];
      }
      return this.#sqlite
        .rows<RecordColumns>(
          `SELECT ${columns} ${plan.sql} AND r.id > ? ORDER BY r.id LIMIT ?`,
          ...plan.parameters,
          bindable(cursor ?? nothing),
          limit,
        )
        .map(recordRow);
    });
  }

  count(query: RecordQuery): number {
    return this.#sqlite.read(() => {
      const plan = this.plan(query);
      return plan === undefined
        ? 0
        : (this.#sqlite.value<number>(`SELECT count(*) ${plan.sql}`, ...plan.parameters) ?? 0);
    });
  }

  /**
   * The ids of the records at these positions (from 0) of the query's order by id. Positions must not fall; those behind the end are left
   * out. Reads on from each position to the next, so that all of them together cost one pass.
   */
  ordinals(query: RecordQuery, positions: readonly number[]): Uint8Array[] {
    positions.forEach((position, at) => {
      if (!Number.isSafeInteger(position) || position < (positions[at - 1] ?? 0)) {
        throw new UsageError("positions", `must be whole numbers that do not fall; got ${position} at ${at}`);
      }
    });
    return this.#sqlite.read(() => {
      const plan = this.plan(query);
      if (plan === undefined) {
        return [];
      }
      return (
        plan.unordered ? this.#ordinalsOfFew(plan, positions) : this.#ordinalsInOrder(plan, positions)
      ).map(plainBytes);
    });
  }

  #ordinalsOfFew(plan: RecordPlan, positions: readonly number[]): Uint8Array[] {
    const ids = this.#sqlite.values<Buffer>(`SELECT r.id ${plan.sql} ORDER BY r.id`, ...plan.parameters);
    return positions.flatMap((position) => ids[position] ?? []);
  }

  #ordinalsInOrder(plan: RecordPlan, positions: readonly number[]): Uint8Array[] {
    const ids: Uint8Array[] = [];
    let last: Uint8Array = nothing;
    let reached = -1;
    for (const position of positions) {
      if (position > reached) {
        const found = this.#sqlite.value<Buffer>(
          `SELECT r.id ${plan.sql} AND r.id > ? ORDER BY r.id LIMIT 1 OFFSET ?`,
          ...plan.parameters,
          last,
          position - reached - 1,
        );
        if (found === undefined) {
          break;
        }
        last = found;
        reached = position;
      }
      ids.push(last);
    }
    return ids;
  }

  /** Records visible at `to` but not at `from`, by id. */
  between(dataset: number, from: number, to: number): RecordRow[] {
    if (currentVersion(this.#sqlite, dataset) === undefined) {
      return [];
    }
    const found: RecordRow[] = [];
    for (let cursor: Uint8Array = nothing; ; ) {
      const page = this.#sqlite.rows<RecordColumns>(
        `SELECT ${columns} FROM record r WHERE r.dataset = ? AND r.id > ? AND ${visible(false, "r.")}
         AND NOT (${visible(false, "r.")}) ORDER BY r.id LIMIT ${PAGE_RECORDS}`,
        dataset,
        cursor,
        ...visibleAt(false, to),
        ...visibleAt(false, from),
      );
      for (const row of page) {
        found.push(recordRow(row));
      }
      const last = page[page.length - 1];
      if (last === undefined || page.length < PAGE_RECORDS) {
        return found;
      }
      cursor = last.id;
    }
  }
}
