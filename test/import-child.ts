/** A process that imports and, if asked, exports one file, and says how much memory that took. Arguments: store, model, folder to export to (or ""). */
import { openStore } from "@tensorcask/core";

const [directory, model, out] = process.argv.slice(2);
const store = await openStore(directory!);
const { newBytes, originalBytes } = await store.importFile(model!, {
  dataset: "large",
  onProgress: ({ done }) => process.send?.({ done }),
});
if (out !== "") await store.exportDataset("large", out!);
await store.close();
process.send?.({ newBytes, originalBytes, peakBytes: process.resourceUsage().maxRSS * 1024 });
process.disconnect?.();
