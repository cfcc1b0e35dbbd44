/** Store tensors, read them whole and by slice, find them by metadata. */
import { openStore } from "@tensorcask/core";

const store = await openStore(":memory:"); // a directory, to keep it
const images = await store.createDataset("images", { indexed: ["label"] });

const data = Float32Array.from({ length: 3 * 4 * 4 }, (_, index) => index / 10);
await images.insert({ dtype: "float32", shape: [3, 4, 4], data }, { name: "cat", metadata: { label: 3 } });
await images.insert(
  { dtype: "float32", shape: [3, 4, 4], data: data.map((value) => -value) },
  { name: "dog", metadata: { label: 5 } },
);

const cat = await images.get("cat");
console.log("cat:", cat?.dtype, cat?.shape);

// Channel 0, the last row, columns 1 and 2. Only the chunk that this touches is read.
const part = await images.slice("cat", [0, -1, [1, 3]]);
console.log("slice:", part?.shape, part?.data);

for await (const record of images.records({ where: { label: { gte: 4 } } })) {
  console.log("label >= 4:", record.name, (await record.read()).data.length, "elements");
}
await store.close();
