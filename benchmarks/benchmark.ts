/**
 * What a benchmark is: a name, what it measures, and a function that measures, checks that bytes come back equal, and returns tables. `run.ts`
 * prints the tables and writes them to RESULTS.md.
 */
import { type Column, renderTable } from "@tensorcask/stats";
import type { Scratch } from "./scratch.ts";

/** One table of figures with what has to be known to read them. */
export interface Table {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
  /** Conditions, inputs, what was skipped and why; a line each. */
  readonly notes?: readonly string[];
}

/** What every benchmark gets. */
export interface Setting {
  /** The sizes of the published figures instead of small ones. */
  readonly full: boolean;
  readonly scratch: Scratch;
  /** Says on standard error what is going on. */
  readonly say: (line: string) => void;
}

export interface Benchmark {
  readonly name: string;
  readonly description: string;
  run(setting: Setting): Promise<readonly Table[]>;
}

/** A column of numbers. */
export function right(title: string): Column {
  return { title, align: "right" };
}

/** A column of words. */
export function left(title: string): Column {
  return { title };
}

/** The lines of a table: its title, the table, its notes. */
export function tableLines(table: Table): string[] {
  return [
    table.title,
    ...renderTable(table.columns, table.rows, { indent: "  " }),
    ...(table.notes ?? []).map((note) => `  ${note}`),
  ];
}
