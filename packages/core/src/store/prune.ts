/** Lets old versions expire. Their bytes come back with gc. */
import { NotFoundError, UsageError } from "@tensorcask/codec";
import type { StoreContext } from "./context.ts";
import { withReserve } from "./disk-full.ts";
import { expiryOps, type KeepRules, splitAll } from "./expiry.ts";
import type { PruneOptions, PruneResult } from "./types.ts";

/** What prune takes, beside the dataset to look at (all of them by default). */
export type StorePruneOptions = PruneOptions & { readonly dataset?: string };

/**
 * Expires the versions that no criterion keeps; the current one always stays. A tag of an expired version goes with it, so give `keepTagged` to
 * keep tagged ones. Throws `UsageError` when no criterion is given.
 */
export async function prune(context: StoreContext, options: StorePruneOptions): Promise<PruneResult> {
  context.checkWritable();
  const rules = keepRules(options);
  const { dryRun = false, dataset, signal } = options;
  return context.parts.committer.exclusive(
    async (exclusive) => {
      const { catalog } = context;
      const found = dataset === undefined ? catalog.datasets() : [catalog.dataset(dataset)];
      const rows = found.filter((row) => row !== undefined);
      if (dataset !== undefined && rows.length === 0) throw new NotFoundError("dataset", dataset);
      const splits = splitAll(catalog, rows, rules);
      const ops = expiryOps(splits);
      if (!dryRun && ops.length > 0) {
        await withReserve(context.parts.reserve, () => exclusive.commit(ops, () => []));
      }
      return {
        dryRun,
        datasets: splits.map(({ dataset: { name }, kept, expired }) => ({ name, kept, expired })),
      };
    },
    { signal },
  );
}

function keepRules({ keepLast, keepTagged = false, keepWithinMs }: StorePruneOptions): KeepRules {
  if (keepLast === undefined && !keepTagged && keepWithinMs === undefined) {
    throw new UsageError("prune", "say what to keep: keepLast, keepTagged or keepWithinMs");
  }
  if (keepLast !== undefined && !(Number.isSafeInteger(keepLast) && keepLast >= 0)) {
    throw new UsageError("keepLast", `keepLast is ${keepLast}; it counts versions`);
  }
  if (keepWithinMs !== undefined && !(keepWithinMs >= 0)) {
    throw new UsageError("keepWithinMs", `keepWithinMs is ${keepWithinMs}; it must not be negative`);
  }
  return {
    tagged: keepTagged,
    ...(keepLast !== undefined && { newest: keepLast }),
    ...(keepWithinMs !== undefined && { sinceMs: Date.now() - keepWithinMs }),
  };
}
