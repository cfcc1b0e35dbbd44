/** ONNX models in a store: tensors come out by name, files as they went in, external data beside its model. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import {
  dataType,
  dims,
  entry,
  graphModel,
  initializer,
  int,
  len,
  name,
  raw,
  typedNumbers,
  types,
} from "./format-onnx-writer.ts";
import { newStore, noise, sameBytes, temporaryDirectory } from "./store-harness.ts";

it.each(["lossless", "none"])("every type, raw and typed, comes back under %s", async (preset) => {
  const folder = temporaryDirectory();
  const data = types.map(({ dtype }, index) => {
    const bytes = noise(Math.ceil((999 * dtype.bits) / 8), index);
    return dtype.name === "bool" ? bytes.map((byte) => byte & 1) : bytes;
  });
  // 999 elements of 4 bits end within a byte; the other half of it is noise, and part of the file.
  const model = graphModel(
    ...types.flatMap((type, index) => [
      initializer(name(`raw.${type.dtype.name}`), dims(999), dataType(type.code), raw(data[index]!)),
      initializer(
        len(type.field, typedNumbers(type, data[index]!)),
        dataType(type.code),
        dims(999),
        name(`typed.${type.dtype.name}`),
      ),
    ]),
  );
  writeFileSync(join(folder, "m.onnx"), model);
  const store = await newStore("directory", { preset });
  await store.importFile(join(folder, "m.onnx"), { dataset: "m" });
  const dataset = (await store.dataset("m"))!;
  for (const [index, { dtype }] of types.entries()) {
    for (const form of ["raw", "typed"]) {
      const tensor = (await dataset.get(`${form}.${dtype.name}`))!;
      expect(tensor.dtype).toBe(dtype.name);
      expect([...tensor.shape]).toEqual([999]);
      expect(sameBytes(tensor.bytes(), data[index]!), `${form}.${dtype.name}`).toBe(true);
    }
  }
  await store.exportFile("m", "m.onnx", join(folder, "out.onnx"));
  expect(sameBytes(readFileSync(join(folder, "out.onnx")), model)).toBe(true);
  expect((await store.verify({ deep: true })).problems).toEqual([]);
});

it("external data is imported with its model, and exported beside it", async () => {
  const folder = temporaryDirectory();
  const weights = noise(4096 + 4000, 5);
  const external = (text: string, offset: number) =>
    initializer(
      name(text),
      dims(500),
      dataType(1),
      int(14, 1),
      entry(13, "location", "m.onnx_data"),
      entry(13, "offset", String(offset)),
      entry(13, "length", "2000"),
    );
  const model = graphModel(external("b", 6096), external("a", 4096));
  writeFileSync(join(folder, "m.onnx"), model);
  writeFileSync(join(folder, "m.onnx_data"), weights);
  const store = await newStore();
  await store.importFile(join(folder, "m.onnx"), { dataset: "m" });
  const dataset = (await store.dataset("m"))!;
  expect((await dataset.files()).map(({ path, format }) => `${path}: ${format}`)).toEqual([
    "m.onnx: onnx",
    "m.onnx_data: onnx-data",
  ]);
  expect(sameBytes((await dataset.get("a"))!.bytes(), weights.subarray(4096, 6096))).toBe(true);
  expect(sameBytes((await dataset.get("b"))!.bytes(), weights.subarray(6096))).toBe(true);
  for (const [file, content] of [["m.onnx", model] as const, ["m.onnx_data", weights] as const]) {
    await store.exportFile("m", file, join(folder, "out"));
    expect(sameBytes(readFileSync(join(folder, "out", file)), content), file).toBe(true);
  }
});
