/** Which tensors the current version of a dataset uses: by its records, and by the parts of its files. */
import type { Catalog, DatasetRow } from "../catalog/catalog.ts";

/** Records looked up at once. */
const PAGE_RECORDS = 10_000;

/** Ids of the tensors of a dataset's current version, each once. */
export function currentTensors(catalog: Catalog, { dataset, version }: DatasetRow): Set<number> {
  return catalog.read(() => {
    const tensors = new Set<number>();
    let last: Uint8Array | undefined;
    for (;;) {
      const page = catalog.page({ dataset, version }, last, PAGE_RECORDS);
      for (const record of page) tensors.add(record.tensor);
      if (page.length < PAGE_RECORDS) break;
      last = page.at(-1)!.id;
    }
    for (const file of catalog.files(dataset, version)) for (const part of file.parts) tensors.add(part);
    return tensors;
  });
}
