import { join } from "node:path";
import { arrayNameOf, byteLength, type DTypeName, dtypeOf, dtypes, UsageError } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import {
  expectTensor,
  failureOf,
  kinds,
  newStore,
  openTestStore,
  randomTensor,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

const names: DTypeName[] = dtypes.map(({ name }) => name);
const smallShapes: number[][] = [[], [0], [1], [7], [3, 5], [2, 0, 3], [1, 1, 1, 1, 1]];
const shapes: number[][] = [...smallShapes, [70_001], [129, 1031]];
/** Blocks take tens of bytes or hundreds: fewer of them are as many chunks. */
const blockShapes: number[][] = [...smallShapes, [4099], [129, 33]];

test("every dtype of safetensors is there, and int4, uint4, complex128 and blocks beside them", () => {
  const codes =
    "BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ I16 U16 F16 BF16 I32 U32 F32 C64 F64 I64 U64".split(
      " ",
    );
  for (const code of codes) expect(dtypeOf(code).safetensors).toBe(code);
  expect(names).toEqual(expect.arrayContaining(["int4", "uint4", "complex128"]));
  const blocks = dtypes.filter(({ kind }) => kind === "block");
  expect(names).toHaveLength(codes.length + 3 + blocks.length);
});

describe.each(kinds)("dtypes (%s)", (kind) => {
  test.each(["lossless", "none"])(
    "every dtype and shape comes back as it was, with preset %s",
    async (preset) => {
      const store = await newStore(kind, { preset });
      const dataset = await store.createDataset("a");
      const tensors = names.flatMap((name) =>
        (dtypeOf(name).kind === "block" ? blockShapes : shapes).map((shape, index) =>
          randomTensor(name, shape, index + 1),
        ),
      );
      await dataset.insertMany(tensors.map((tensor, index) => ({ tensor, name: String(index) })));
      for (const [index, tensor] of tensors.entries()) {
        const found = await dataset.get(String(index));
        expectTensor(found, tensor);
        expect(found!.data.constructor.name).toBe(arrayNameOf(dtypeOf(tensor.dtype)));
        const info = (await dataset.info(String(index)))!;
        expect(info).toMatchObject({
          dtype: tensor.dtype,
          shape: tensor.shape,
          bytes: byteLength(dtypeOf(tensor.dtype), tensor.shape),
        });
      }
    },
  );
});

test("sub-byte sizes are computed in bits", async () => {
  const store = await newStore(":memory:");
  const dataset = await store.createDataset("a");
  const cases: [DTypeName, number[], number][] = [
    ["int4", [7], 4],
    ["uint4", [3, 3], 5],
    ["float4_e2m1fn", [9], 5],
    ["float6_e2m3fn", [5], 4],
    ["float6_e3m2fn", [4], 3],
    ["int4", [1], 1],
  ];
  for (const [dtype, shape, bytes] of cases) {
    const name = `${dtype} ${shape}`;
    await dataset.insert(randomTensor(dtype, shape), { name });
    expect((await dataset.info(name))!.bytes).toBe(bytes);
    expect((await dataset.get(name))!.bytes()).toHaveLength(bytes);
    const wrong = { dtype, shape, data: new Uint8Array(bytes + 1) };
    expect(await failureOf(dataset.insert(wrong))).toMatchObject({ field: "data" });
  }
  // Two's complement, least significant bits first.
  await dataset.insert({ dtype: "int4", shape: [3], data: new Uint8Array([0x8f, 0x07]) }, { name: "signed" });
  expect((await dataset.get("signed", { as: "float32" }))!.data).toEqual(new Float32Array([-1, -8, 7]));
  await dataset.insert(
    { dtype: "uint4", shape: [3], data: new Uint8Array([0x8f, 0x07]) },
    { name: "unsigned" },
  );
  expect((await dataset.get("unsigned", { as: "float32" }))!.data).toEqual(new Float32Array([15, 8, 7]));
  expect((await dataset.slice("signed", [[1, 3]], { as: "float32" }))!.data).toEqual(
    new Float32Array([-8, 7]),
  );
});

test("small floats are readable as Float32Array and as half bits", async () => {
  const store = await newStore(":memory:");
  const dataset = await store.createDataset("a");
  const cases: [DTypeName, ArrayBufferView, number[]][] = [
    ["bfloat16", new Uint16Array([0x3f80, 0xc040, 0x7f80, 0x0000]), [1, -3, Number.POSITIVE_INFINITY, 0]],
    [
      "float16",
      new Uint16Array([0x3c00, 0xc200, 0x7c00, 0x0001]),
      [1, -3, Number.POSITIVE_INFINITY, 2 ** -24],
    ],
    ["float8_e4m3fn", new Uint8Array([0x38, 0xc4, 0x7e, 0x01]), [1, -3, 448, 2 ** -9]],
    ["float8_e5m2", new Uint8Array([0x3c, 0xc2, 0x7b, 0x7c]), [1, -3, 57344, Number.POSITIVE_INFINITY]],
    ["float8_e4m3fnuz", new Uint8Array([0x40, 0xcc, 0x7f, 0x00]), [1, -3, 240, 0]],
    ["float8_e5m2fnuz", new Uint8Array([0x40, 0xc6, 0x7f, 0x00]), [1, -3, 57344, 0]],
    ["float8_e8m0fnu", new Uint8Array([127, 128, 126, 137]), [1, 2, 0.5, 1024]],
    ["float64", new Float64Array([1, -3, 0.1, 1e300]), [1, -3, Math.fround(0.1), Number.POSITIVE_INFINITY]],
    ["int8", new Int8Array([1, -3, 127, -128]), [1, -3, 127, -128]],
    ["bool", new Uint8Array([1, 0, 1, 0]), [1, 0, 1, 0]],
  ];
  for (const [dtype, data, values] of cases) {
    await dataset.insert({ dtype, shape: [2, 2], data }, { name: dtype });
    const found = (await dataset.get(dtype, { as: "float32" }))!;
    expect([found.dtype, found.shape]).toEqual(["float32", [2, 2]]);
    expect(found.data, dtype).toEqual(new Float32Array(values));
    expect((await dataset.gather(dtype, [1], { as: "float32" }))!.data).toEqual(
      new Float32Array(values.slice(2)),
    );
    const half = (await dataset.get(dtype, { as: "float16" }))!;
    expect([half.dtype, half.data.constructor.name]).toEqual(["float16", "Uint16Array"]);
  }
  expect((await dataset.get("int8", { as: "float16" }))!.data).toEqual(
    new Uint16Array([0x3c00, 0xc200, 0x57f0, 0xd800]),
  );
  expect(await failureOf(dataset.get("int8", { as: "float64" as never }))).toBeInstanceOf(UsageError);
  await dataset.insert(randomTensor("complex64", [2]), { name: "complex64" });
  expect(await failureOf(dataset.get("complex64", { as: "float32" }))).toBeInstanceOf(UsageError);
});

test("every dtype that safetensors has passes through files", async () => {
  const folder = temporaryDirectory();
  const tensors = Object.fromEntries(
    dtypes
      .filter(({ safetensors }) => safetensors !== undefined)
      .map(({ name }, index) => [name, randomTensor(name, [8, 24], index)]),
  );
  const path = writeSafetensors(join(folder, "all.safetensors"), tensors);
  const store = await openTestStore(join(folder, "store"));
  expect(await store.importFile(path, { dataset: "a" })).toMatchObject({ tensors: 22, files: 1 });
  const dataset = (await store.dataset("a"))!;
  for (const [name, tensor] of Object.entries(tensors)) expectTensor(await dataset.get(name), tensor);
});
