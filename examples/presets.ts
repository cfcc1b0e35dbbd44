/** Trade precision for size per dataset, at runtime, and see what it costs. */
import { openStore } from "@tensorcask/core";

const store = await openStore(":memory:");
const data = Float32Array.from({ length: 64 * 256 }, (_, index) => Math.sin(index) / 20);
const tensor = { dtype: "float32", shape: [64, 256], data };

const dataset = await store.createDataset("layers");
await dataset.insert(tensor, { name: "exact" });

await dataset.setPreset("balanced"); // from now on; "exact" stays exact
await dataset.insert(tensor, { name: "half" });

await store.definePreset("tiny", {
  quantizer: { id: "int8", granularity: "channel" },
  codec: ["planes", { id: "zstd", level: 9 }],
});
await dataset.insert(tensor, { name: "int8", preset: "tiny" });

for await (const record of dataset.records()) {
  const error = record.quantization?.error.maxAbsolute ?? 0;
  console.log(
    record.name,
    "quantizer:",
    record.quantization?.quantizer ?? "none",
    "largest error:",
    error.toExponential(2),
  );
}
await store.close();
