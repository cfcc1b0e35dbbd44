/** Which versions of datasets stay: pure decisions over the list of versions, for gc and prune. */
import type { Catalog, DatasetRow, ExpireOp, VersionRow } from "../catalog/catalog.ts";

/** Versions of one dataset, split. */
export interface VersionSplit {
  readonly dataset: DatasetRow;
  readonly kept: readonly number[];
  readonly expired: readonly number[];
}

/** What keeps a version: any of these. The current one is always kept. */
export interface KeepRules {
  /** The newest so many, the current one not counted. */
  readonly newestBeside?: number;
  /** The newest so many, the current one counted. */
  readonly newest?: number;
  readonly tagged?: boolean;
  /** Those made at this time or later, in milliseconds since 1970. */
  readonly sinceMs?: number;
}

/** Splits the versions of a dataset, which come oldest first, by the rules. */
export function splitVersions(
  dataset: DatasetRow,
  versions: readonly VersionRow[],
  rules: KeepRules,
): VersionSplit {
  const { newestBeside = 0, newest = 0, tagged = false, sinceMs = Number.POSITIVE_INFINITY } = rules;
  const others = versions.filter(({ version }) => version !== dataset.version);
  const count = Math.max(newestBeside, newest - 1);
  const recent = new Set(others.slice(Math.max(0, others.length - count)).map(({ version }) => version));
  const kept: number[] = [];
  const expired: number[] = [];
  for (const { version, tags, timeMs } of versions) {
    const keep =
      version === dataset.version || recent.has(version) || (tagged && tags.length > 0) || timeMs >= sinceMs;
    (keep ? kept : expired).push(version);
  }
  return { dataset, kept, expired };
}

/** Splits the versions of datasets. */
export function splitAll(
  catalog: Catalog,
  datasets: readonly DatasetRow[],
  rules: KeepRules,
): VersionSplit[] {
  return datasets.map((row) => splitVersions(row, catalog.versions(row.dataset), rules));
}

/** The operations that let the expired ones go. */
export function expiryOps(splits: readonly VersionSplit[]): ExpireOp[] {
  return splits
    .filter(({ expired }) => expired.length > 0)
    .map(({ dataset, kept }) => ({ op: "expire", dataset: dataset.dataset, kept }));
}
