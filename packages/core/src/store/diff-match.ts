/**
 * Which record of one version stands for which of another: that of the same file and name; else that of the same name, when of the records of this name that
 * have no such counterpart one is left on each side. Records without a name: that of the same id. The relation is the same from both sides.
 */
import type { Catalog, RecordRow } from "../catalog/catalog.ts";
import { NAMED_LIMIT } from "../catalog/records.ts";

export interface VersionRef {
  readonly dataset: number;
  readonly version: number;
}

/** The counterpart in `other` of a record of `own`; undefined when there is none. */
export function counterpart(
  catalog: Catalog,
  record: RecordRow,
  own: VersionRef,
  other: VersionRef,
): RecordRow | undefined {
  const { name, filePath } = record;
  if (name === undefined) {
    const found = catalog.record(other.dataset, other.version, record.id);
    return found?.name === undefined ? found : undefined;
  }
  const theirs = catalog.recordsNamed(other.dataset, other.version, name);
  const same = theirs.find((each) => each.filePath === filePath);
  if (same !== undefined) return same;
  // The list is cut: there may be a counterpart behind its end, and what is left cannot be known.
  if (theirs.length >= NAMED_LIMIT) return inFile(catalog, other, name, filePath);
  const ours = catalog.recordsNamed(own.dataset, own.version, name);
  if (ours.length >= NAMED_LIMIT) return undefined;
  const [left, ...more] = without(theirs, ours);
  return more.length === 0 && without(ours, theirs).length === 1 ? left : undefined;
}

function inFile(
  catalog: Catalog,
  { dataset, version }: VersionRef,
  name: string,
  path: string | undefined,
): RecordRow | undefined {
  const file = path === undefined ? 0 : catalog.file(dataset, version, path)?.file;
  return file === undefined ? undefined : catalog.recordsNamed(dataset, version, name, file)[0];
}

/** Those of `records` whose file none of `others` has. */
function without(records: readonly RecordRow[], others: readonly RecordRow[]): RecordRow[] {
  const paths = new Set(others.map(({ filePath }) => filePath));
  return records.filter(({ filePath }) => !paths.has(filePath));
}
