/**
 * Whom damage hits: from chunks back to the names of the tensors that need them. No index leads this way, because only errors and
 * `verify` ask; it reads all tensors, about a second for a million.
 */
import { toHex } from "@tensorcask/codec";
import { partsOf } from "./files.ts";
import { withDependents } from "./siblings.ts";
import type { Sqlite } from "./sqlite.ts";

/** Names in one answer: they end up in an error message. */
const NAMES_LIMIT = 100;
const PAGE_ROWS = 8192;

/** Names, `dataset/[file#]tensor`, of current or kept tensors that use any of the chunks, or one that is coded against them; the first 100. A file without a tensor of its own there is named itself. */
export function findUsers(
  sqlite: Sqlite,
  chunks: readonly number[],
  formatId: (id: Uint8Array) => string = toHex,
): string[] {
  return sqlite.read(() => {
    const tensors = tensorsUsing(
      sqlite,
      withDependents(sqlite, chunks).sort((a, b) => a - b),
    );
    const names = new Set<string>();
    const rows = sqlite.tuples<[string, string | null, string | null, Buffer]>(
      `SELECT d.name, (SELECT f.path FROM file f WHERE f.file = r.file LIMIT 1), r.name, r.id
       FROM record r JOIN dataset d ON d.dataset = r.dataset AND d.name IS NOT NULL
       WHERE r.tensor IN (SELECT value FROM json_each(?)) ORDER BY r.removed IS NOT NULL, r.dataset, r.id LIMIT ${NAMES_LIMIT}`,
      JSON.stringify([...tensors]),
    );
    for (const [dataset, path, name, id] of rows) {
      names.add(`${dataset}/${path === null ? "" : `${path}#`}${name ?? formatId(id)}`);
    }
    if (names.size < NAMES_LIMIT) {
      addFiles(sqlite, tensors, names);
    }
    return [...names];
  });
}

function addFiles(sqlite: Sqlite, tensors: ReadonlySet<number>, names: Set<string>): void {
  for (let last = 0; ; ) {
    const page = sqlite.tuples<[number, string, string, string]>(
      `SELECT f.row, d.name, f.path, f.parts FROM file f JOIN dataset d ON d.dataset = f.dataset AND d.name IS NOT NULL
       WHERE f.row > ? ORDER BY f.row LIMIT ${PAGE_ROWS}`,
      last,
    );
    for (const [row, dataset, path, parts] of page) {
      last = row;
      const file = `${dataset}/${path}`;
      if (
        partsOf(parts).some((tensor) => tensors.has(tensor)) &&
        ![...names].some((name) => name.startsWith(`${file}#`))
      ) {
        names.add(file);
        if (names.size >= NAMES_LIMIT) {
          return;
        }
      }
    }
    if (page.length < PAGE_ROWS) {
      return;
    }
  }
}

/** Ids of the tensors that use any of the chunks, which are in rising order. */
function tensorsUsing(sqlite: Sqlite, chunks: readonly number[]): Set<number> {
  const found = new Set<number>();
  for (let last = 0; ; ) {
    const page = sqlite.tuples<[number, number | null, number | null, string | null]>(
      `SELECT tensor, first, place, more FROM tensor WHERE tensor > ? ORDER BY tensor LIMIT ${PAGE_ROWS}`,
      last,
    );
    for (const [tensor, first, place, more] of page) {
      last = tensor;
      if (first !== null && place !== null) {
        if (touches(chunks, first, place < 0 ? -place : 1)) {
          found.add(tensor);
        }
      } else {
        const numbers = JSON.parse(more ?? "[]") as number[];
        for (let at = 1; at + 1 < numbers.length; at += 2) {
          if (touches(chunks, numbers[at]!, numbers[at + 1]!)) {
            found.add(tensor);
            break;
          }
        }
      }
    }
    if (page.length < PAGE_ROWS) {
      return found;
    }
  }
}

function touches(sorted: readonly number[], first: number, count: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < first) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < sorted.length && sorted[low]! < first + count;
}
