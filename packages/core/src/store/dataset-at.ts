/** A dataset at one version, named in one word: `dataset`, `dataset@3`, `dataset@tag`. */
import { NotFoundError, VersionExpiredError } from "@tensorcask/codec";
import type { StoreContext } from "./context.ts";
import { DatasetView } from "./dataset-view.ts";

/** A version of a dataset that stays the same whatever is committed meanwhile. */
export interface DatasetAt {
  readonly dataset: number;
  readonly name: string;
  readonly version: number;
  readonly view: DatasetView;
}

/**
 * The version that `text` names. Names and tags may hold `@`, so the whole is tried as a name first, then the longest part of it that is one.
 * Throws `NotFoundError` and `VersionExpiredError`.
 */
export function datasetAt(context: StoreContext, text: string): DatasetAt {
  for (let end = text.length; end > 0; end = text.lastIndexOf("@", end - 1)) {
    const row = context.catalog.dataset(text.slice(0, end));
    if (row === undefined) continue;
    const wanted = end === text.length ? undefined : text.slice(end + 1);
    const asked = wanted !== undefined && /^\d{1,15}$/.test(wanted) ? Number(wanted) : wanted;
    const { version } = new DatasetView(context, row.dataset, row.name, asked);
    const view = new DatasetView(context, row.dataset, row.name, version);
    return { dataset: row.dataset, name: row.name, version, view };
  }
  throw new NotFoundError("dataset", text, "name it as dataset, dataset@version or dataset@tag");
}

/** Reads the catalog at one state in which the version is still kept. Throws `VersionExpiredError` when it is not. */
export function readAt<T>({ catalog }: StoreContext, at: DatasetAt, read: () => T): T {
  return catalog.read(() => {
    if (!catalog.hasVersion(at.dataset, at.version)) throw new VersionExpiredError(at.name, at.version);
    return read();
  });
}
