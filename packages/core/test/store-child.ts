/**
 * Run by store-concurrency.test.ts as a process of its own: `node store-child.ts <directory> <dataset> <count> <prefix>` inserts so many records, one
 * commit each; it says when it starts and when it is done.
 */
import { openStore } from "../src/index.ts";

const [directory, name, count, prefix] = process.argv.slice(2) as [string, string, string, string];
const store = await openStore(directory, { workers: 0 });
const dataset = (await store.dataset(name))!;
process.stdout.write("started\n");
for (let index = 0; index < Number(count); index++) {
  const data = new Float32Array(2000).fill(index);
  await dataset.insert(
    { dtype: "float32", shape: [2000], data },
    { name: `${prefix}${index}`, metadata: { prefix, index } },
  );
}
await store.close();
process.stdout.write("done\n");
