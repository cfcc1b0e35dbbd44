/** Options of new datasets, checked: what they ask for becomes the intent that creates the dataset. */
import { checkIndexed } from "../catalog/metadata-index.ts";
import type { StoreContext } from "./context.ts";
import { checkMetadata } from "./metadata.ts";
import { checkOptionNames } from "./option-names.ts";
import { parseSchema } from "./schema.ts";
import type { CreateDatasetOptions } from "./types.ts";
import type { DatasetRef, Intent } from "./write-set.ts";

const OPTION_NAMES: readonly string[] = ["preset", "metadata", "schema", "indexed"];

/** Throws `UsageError` that names the option. */
export function createDatasetIntent(
  context: StoreContext,
  dataset: DatasetRef,
  options: CreateDatasetOptions,
): Intent {
  checkOptionNames(options, OPTION_NAMES, "createDataset");
  const { preset, metadata = {}, schema, indexed = [] } = options;
  checkIndexed(indexed, "indexed");
  return {
    kind: "create-dataset",
    dataset,
    preset: preset === undefined ? null : context.preset(preset).name,
    metadata: checkMetadata(metadata),
    schema: schema === undefined ? null : parseSchema(schema),
    indexed: [...indexed],
  };
}
