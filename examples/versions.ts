/** Every commit makes a version: read an old one, tag it, go back to it; change several things at once or not at all. */
import { ConflictError } from "@tensorcask/codec";
import { openStore } from "@tensorcask/core";

const store = await openStore(":memory:");
const weights = await store.createDataset("weights");
const vector = (...values: number[]) => ({
  dtype: "float32",
  shape: [values.length],
  data: Float32Array.from(values),
});

await weights.insert(vector(1, 2, 3), { name: "w" });
await weights.tag("first");
await weights.update("w", { tensor: vector(4, 5, 6) });
console.log(
  "now:",
  (await weights.get("w"))?.data,
  "at 'first':",
  (await weights.at("first").get("w"))?.data,
);

await weights.rollback("first");
console.log("after rollback:", (await weights.get("w"))?.data, "version", weights.version);

await store.transaction(async (tx) => {
  const dataset = (await tx.dataset("weights"))!;
  await dataset.insert(vector(7), { name: "bias" });
  await dataset.update("w", { metadata: { frozen: true } });
});
console.log("records:", await weights.count(), "metadata:", (await weights.info("w"))?.metadata);

try {
  await store.transaction(async (tx) => {
    const dataset = (await tx.dataset("weights"))!;
    await dataset.info("w");
    await weights.update("w", { metadata: { frozen: false } }); // somebody else is faster
    await dataset.update("w", { metadata: { frozen: true } });
  });
} catch (error) {
  console.log("conflict:", error instanceof ConflictError);
}
await store.close();
