/** Keep a base model and its fine-tune: what they share is stored once, and each comes back bit for bit. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ImportResult, openStore } from "@tensorcask/core";

const models = join(import.meta.dirname, "data");
const scratch = mkdtempSync(join(tmpdir(), "tensorcask-example-"));
const store = await openStore(join(scratch, "zoo"));

const base = await store.importFile(join(models, "base"), { dataset: "llm/base" });
const tuned = await store.importFile(join(models, "ft-lora-merged"), { dataset: "llm/ft-lora-merged" });
const percent = ({ newBytes, originalBytes }: ImportResult): number =>
  Math.round((100 * newBytes) / originalBytes);
console.log(`base: ${base.originalBytes} bytes in, ${percent(base)} % of that on disk`);
console.log(
  `fine-tune: ${tuned.tensorsShared} of ${tuned.tensors} tensors shared, ${percent(tuned)} % of it new`,
);

await store.exportDataset("llm/ft-lora-merged", join(scratch, "out"));
const original = readFileSync(join(models, "ft-lora-merged", "model.safetensors"));
const exported = readFileSync(join(scratch, "out", "model.safetensors"));
console.log("exported file equals the original:", original.equals(exported));

await store.close();
rmSync(scratch, { recursive: true });
