/** Options of new datasets, checked: what they ask for becomes the intent that creates the dataset. */
import { UsageError } from "@tensorcask/codec";
import { checkIndexed } from "../catalog/metadata-index.ts";
import type { StoreContext } from "./context.ts";
import { checkMetadata } from "./metadata.ts";
import { parseSchema } from "./schema.ts";
import type { CreateDatasetOptions } from "./types.ts";
import type { DatasetRef, Intent } from "./write-set.ts";

const OPTION_NAMES: ReadonlySet<string> = new Set(["preset", "metadata", "schema", "indexed"]);

/** Throws `UsageError` that names the option. */
export function createDatasetIntent(
  context: StoreContext,
  dataset: DatasetRef,
  options: CreateDatasetOptions,
): Intent {
  for (const option of Object.keys(options)) {
    if (!OPTION_NAMES.has(option)) {
      throw new UsageError(
        option,
        `unknown option ${JSON.stringify(option)}; there are ${[...OPTION_NAMES].join(", ")}`,
      );
    }
  }
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
