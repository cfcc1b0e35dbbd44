import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkPlan } from "../src/format/check-plan.ts";
import type { FormatPlan } from "../src/format/format.ts";
import { planSource } from "../src/format/inputs.ts";
import { torch } from "../src/format/torch/plan.ts";
import { bufferSource } from "../src/model/plan.ts";
import {
  array,
  build,
  bytes,
  call,
  checkpoint,
  decode,
  fixtures,
  floats,
  global,
  legacyCheckpoint,
  type Pickled,
  pickle,
  Raw,
  ruleOf,
  storage,
  tensor,
  tensorsOf,
  tuple,
} from "./format-pickle-cases.ts";
import { zipOf } from "./format-zip-cases.ts";
import { sharedData } from "./store-harness.ts";

const plan = async (file: Uint8Array): Promise<FormatPlan> => {
  const found = await torch.plan(bufferSource("model.pt", file));
  checkPlan("file", file.length, found.parts, found.derived);
  return found;
};

const six = floats(0, 1, 2, 3, 4, 5);
const whole = storage("FloatStorage", "0", 6);
const utils = (name: string): Raw => global("torch._utils", name);
const text = (of: string): Uint8Array => new Uint8Array(Buffer.from(of));

describe("checkpoints as Python's pickler and zipfile write them", () => {
  const files = { ...fixtures.zip, "legacy 2": fixtures.legacy[2], "legacy 4": fixtures.legacy[4] };

  it.each(Object.entries(files))("%s", async (kind, base64) => {
    const file = decode(base64);
    const found = await plan(file);
    const tensors = await tensorsOf(found, file);
    const values = [...tensors].map(([name, { dtype, shape, elements }]) => {
      const numbers =
        dtype === "float32"
          ? [...new Float32Array(new Uint8Array(elements).buffer)]
          : elements.toString("hex");
      return [name, dtype, shape, numbers] as const;
    });
    expect(values.sort(([a], [b]) => (a < b ? -1 : 1))).toEqual([
      ["optimizer.state.0.exp_avg", "float32", [12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]],
      ["state_dict.a.rest", "float32", [3, 2], [6, 9, 7, 10, 8, 11]],
      ["state_dict.a.steps", "int64", [], "0700000000000000"],
      ["state_dict.a.weight", "float32", [2, 3], [0, 1, 2, 3, 4, 5]],
      ["state_dict.b", "bfloat16", [4], "0001020304050607"],
      ["state_dict.b tied", "bfloat16", [4], "0001020304050607"],
      ["state_dict.empty", "float32", [0, 4], []],
      ["state_dict.odd", "float32", [2], [1, 3]],
    ]);
    expect(found.metadata).toEqual({ epoch: 5, optimizer: { param_groups: [{ lr: 0.1, params: [0] }] } });
    const parts = found.parts.flatMap((part) => (part.kind === "tensor" ? [part.name] : []));
    // Of the tensors that share a storage the longest is the part.
    expect(parts).toEqual(
      kind === "deflated"
        ? []
        : ["optimizer.state.0.exp_avg", "state_dict.a.steps", "state_dict.b", "state_dict.empty"],
    );
  });
});

describe("files that PyTorch wrote", () => {
  const twelve = floats(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);

  it.each(["zip", "legacy"] as const)("a checkpoint (%s)", async (kind) => {
    const file = decode(fixtures.torch[kind]);
    const found = await plan(file);
    const tensors = await tensorsOf(found, file);
    const wanted: Record<string, [dtype: string, shape: number[], elements: Uint8Array, isDerived: boolean]> =
      {
        w: ["float32", [3, 4], twelve, false],
        tied: ["float32", [3, 4], twelve, true],
        turned: ["float32", [4, 3], floats(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11), true],
        even: ["float32", [3, 2], floats(0, 2, 4, 6, 8, 10), true],
        half: ["bfloat16", [2], new Uint8Array([0xc0, 0x3f, 0x00, 0xc0]), false],
        empty: ["float32", [0, 3], floats(), false],
        steps: ["int64", [], new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0]), false],
        ...(kind === "zip" ? { small: ["float8_e4m3fn", [2], new Uint8Array([0x38, 0x40]), false] } : {}),
      };
    expect([...tensors.keys()].sort()).toEqual(
      Object.keys(wanted)
        .map((name) => `state_dict.${name}`)
        .sort(),
    );
    for (const [name, [dtype, shape, elements, isDerived]] of Object.entries(wanted)) {
      const got = tensors.get(`state_dict.${name}`);
      expect(got).toMatchObject({ dtype, shape, isDerived, elements: Buffer.from(elements) });
    }
    expect(found.metadata).toEqual({ epoch: 3 });
  });

  it("a TorchScript module", async () => {
    const file = decode(fixtures.torch.script);
    const found = await plan(file);
    const tensors = await tensorsOf(found, file);
    expect([...tensors].map(([name, { shape, elements }]) => [name, shape, elements])).toEqual([
      ["l.weight", [2, 3], Buffer.from(six)],
      ["l.bias", [2], Buffer.from(floats(9, 8))],
    ]);
    expect(found.metadata).toMatchObject({ training: true, sizes: [1, 2] });
  });

  it.each(["conj", "neg"] as const)(
    "a view that is computed when it is looked at (%s) is refused",
    async (bit) => {
      expect(await ruleOf(plan(decode(fixtures.torch[bit])))).toBe("lazy-view");
    },
  );
});

describe("how tensors lie in their storages", () => {
  it("plain runs, the whole or a part of a storage, are parts; what is between them stays literal", async () => {
    const file = checkpoint(
      { a: tensor(whole, 0, [2], [1]), b: tensor(whole, 3, [1, 3], [99, 1]), c: tensor(whole, 0, [], []) },
      { 0: six },
    );
    const found = await plan(file);
    const tensors = await tensorsOf(found, file);
    expect(
      [...tensors].map(([name, { isDerived, elements }]) => [name, isDerived, elements.length / 4]),
    ).toEqual([
      ["a", false, 2],
      ["b", false, 3],
      ["c", true, 1],
    ]);
    expect(found.parts.map(({ kind }) => kind)).toEqual([
      "literal",
      "tensor",
      "literal",
      "tensor",
      "literal",
    ]);
  });

  it("column-major runs are parts with that layout; big-endian files say so of all", async () => {
    const object = {
      a: tensor(whole, 0, [2, 3], [1, 2]),
      b: tensor(storage("LongStorage", "1", 1), 0, [1], [1]),
    };
    const file = checkpoint(object, { 0: six, 1: new Uint8Array([0, 0, 0, 0, 0, 0, 1, 2]) }, [
      { name: "model/byteorder", data: text("big") },
    ]);
    const found = await plan(file);
    expect(found.parts.flatMap((part) => (part.kind === "tensor" ? [part.layout] : []))).toEqual([
      { bigEndian: true, columnMajor: true },
      { bigEndian: true },
    ]);
    expect((await tensorsOf(found, file)).get("b")?.elements.readBigInt64LE()).toBe(0x102n);
  });

  it("big-endian tensors that are derived are turned around, too", async () => {
    const data = new Uint8Array(Float32Array.of(1, 2, 3).buffer).map((_, index, all) => all[index ^ 3]!);
    const file = checkpoint(
      {
        a: tensor(storage("FloatStorage", "0", 3), 0, [2], [2]),
        b: tensor(storage("ComplexFloatStorage", "0", 1), 0, [1], [1]),
        c: tensor(storage("ComplexFloatStorage", "0", 1), 0, [1], [1]),
      },
      { 0: data },
      [{ name: "model/byteorder", data: text("big") }],
    );
    const tensors = await tensorsOf(await plan(file), file);
    expect(tensors.get("a")?.elements).toEqual(Buffer.from(floats(1, 3)));
    expect(tensors.get("b")?.elements).toEqual(Buffer.from(floats(1, 2)));
    expect(tensors.get("c")?.elements).toEqual(Buffer.from(floats(1, 2)));
    expect(tensors.get("c")?.isDerived).toBe(true);
  });

  it("an element repeated is derived as long as it is not absurd", async () => {
    const file = checkpoint({ a: tensor(whole, 5, [3, 1000], [0, 0]) }, { 0: six });
    const { elements } = (await tensorsOf(await plan(file), file)).get("a")!;
    expect(new Set(new Float32Array(new Uint8Array(elements).buffer))).toEqual(new Set([5]));
    const absurd = checkpoint({ a: tensor(whole, 5, [2 ** 20, 2 ** 20], [0, 0]) }, { 0: six });
    expect(await ruleOf(plan(absurd))).toBe("expanded");
    const many = Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [`t${index}`, tensor(whole, 0, [10_000], [0])]),
    );
    expect(await ruleOf(plan(checkpoint(many, { 0: six })))).toBe("expanded");
  });

  it.each([
    ["beyond the storage", [0, [7], [1]], "outside-storage"],
    ["from beyond the storage", [6, [1], [1]], "outside-storage"],
    ["strides beyond the storage", [0, [2, 2], [4, 2]], "outside-storage"],
    ["strides that round", [0, [2, 2], [2 ** 53, 1]], "strides"],
    ["a negative stride", [5, [6], [-1]], "strides"],
    ["a negative first element", [-1, [2], [1]], "strides"],
    ["a negative axis", [0, [-6], [1]], "shape"],
    ["fewer strides than axes", [0, [2, 3], [1]], "strides"],
    ["more bytes than 2^53", [0, [2 ** 30, 2 ** 30, 0], [0, 0, 0]], "shape"],
    ["65 axes", [0, Array(65).fill(1), Array(65).fill(1)], "strides"],
  ] as const)("refused: %s", async (_what, [first, shape, strides], rule) => {
    const object = { x: tensor(whole, first, [...shape], [...strides]) };
    expect(await ruleOf(plan(checkpoint(object, { 0: six })))).toBe(rule);
    expect(await ruleOf(plan(legacyCheckpoint(object, { 0: [6, six] })))).toBe(rule);
  });

  it("large views that reach elements in several ways, or a compressed storage out of order, are refused", async () => {
    const large = new Uint8Array(40_000_000);
    const byte = storage("ByteStorage", "0", large.length);
    const crossing = checkpoint({ x: tensor(byte, 0, [6000, 6000], [6001, 6000]) }, { 0: large });
    expect(await ruleOf(plan(crossing))).toBe("outside-storage");
    const overlapping = checkpoint({ x: tensor(byte, 0, [6000, 6000], [6000, 333]) }, { 0: large });
    expect(await ruleOf(plan(overlapping))).toBe("overlapping-view");
    const packed = zipOf([
      { name: "m/data.pkl", data: pickle({ x: tensor(byte, 0, [6000, 6000], [1, 6001]) }) },
      { name: "m/data/0", data: large, deflated: true },
    ]);
    expect(await ruleOf(plan(packed))).toBe("compressed-view");
  });
});

describe("what PyTorch's pickles name", () => {
  const view = tensor(whole, 0, [6], [1]);
  const planned = async (object: Pickled): Promise<[FormatPlan, string[]]> => {
    const file = checkpoint(object, { 0: six });
    const found = await plan(file);
    return [found, [...(await tensorsOf(found, file)).keys()]];
  };

  it.each([
    ["FloatStorage", "float32"],
    ["DoubleStorage", "float64"],
    ["HalfStorage", "float16"],
    ["BFloat16Storage", "bfloat16"],
    ["LongStorage", "int64"],
    ["IntStorage", "int32"],
    ["ShortStorage", "int16"],
    ["CharStorage", "int8"],
    ["ByteStorage", "uint8"],
    ["BoolStorage", "bool"],
    ["ComplexFloatStorage", "complex64"],
    ["ComplexDoubleStorage", "complex128"],
  ])("%s holds %s", async (type, dtype) => {
    const file = checkpoint({ x: tensor(storage(type, "0", 1), 0, [1], [1]) }, { 0: six });
    expect((await tensorsOf(await plan(file), file)).get("x")?.dtype).toBe(dtype);
  });

  it.each([
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "uint16",
    "uint64",
  ])("%s is told beside an untyped storage", async (dtype) => {
    const x = call(
      utils("_rebuild_tensor_v3"),
      storage("UntypedStorage", "0", 24),
      1,
      tuple(2),
      tuple(1),
      false,
      null,
      global("torch", dtype),
    );
    const file = checkpoint({ x }, { 0: six });
    expect((await tensorsOf(await plan(file), file)).get("x")).toMatchObject({ dtype, shape: [2] });
  });

  it("parameters, subclasses and device tensors are their tensors; sparse ones are several", async () => {
    const float32 = global("torch", "float32");
    const [found, names] = await planned({
      parameter: call(utils("_rebuild_parameter"), view, true, {}),
      stateful: call(utils("_rebuild_parameter_with_state"), view, true, {}, {}),
      subclass: call(
        global("torch._tensor", "_rebuild_from_type_v2"),
        utils("_rebuild_tensor_v2"),
        global("torch.nn.parameter", "Parameter"),
        tuple(whole, 0, tuple(6), tuple(1)),
        {},
      ),
      device: call(
        utils("_rebuild_device_tensor_from_numpy"),
        array("<f4", [6], bytes(six)),
        float32,
        "xla:0",
        false,
      ),
      sparse: call(
        utils("_rebuild_sparse_tensor"),
        call(global("torch.serialization", "_get_layout"), "torch.sparse_csr"),
        tuple(view, view, view, call(global("torch", "Size"), tuple(2, 3))),
      ),
      meta: call(utils("_rebuild_meta_tensor_no_storage"), float32, tuple(2, 3), tuple(3, 1), false),
      size: call(global("torch", "Size"), tuple(4)),
      where: call(global("torch", "device"), "cuda", 1),
      type: float32,
      made: array("<f4", [6], bytes(six)),
    });
    expect(names.sort()).toEqual([
      "device",
      "made",
      "parameter",
      "sparse.compressed_indices",
      "sparse.plain_indices",
      "sparse.values",
      "stateful",
      "subclass",
    ]);
    expect(found.metadata).toEqual({
      meta: { meta: "torch.float32", shape: [2, 3] },
      size: [4],
      sparse: { layout: "torch.sparse_csr", shape: [2, 3] },
      type: "torch.float32",
      where: "cuda:1",
    });
  });

  it("TorchScript: attributes are names, constants come with their own storages", async () => {
    const module = (name: string, state: Pickled): Raw =>
      new Raw(global("__torch__.net", name).bytes, ")\x81", new Raw(pickle(state).slice(2, -1)).bytes, "b");
    const file = checkpoint(
      module("Net", {
        layer: module("Layer", { w: view }),
        sizes: call(global("torch.jit._pickle", "build_intlist"), [1, 2]),
      }),
      { 0: six },
      [
        {
          name: "model/constants.pkl",
          data: pickle(tuple(tensor(storage("FloatStorage", "0", 1), 0, [1], [1]))),
        },
        { name: "model/constants/0", data: floats(9) },
      ],
    );
    const found = await plan(file);
    const tensors = await tensorsOf(found, file);
    expect([...tensors.keys()]).toEqual(["layer.w", "constants.0"]);
    expect(tensors.get("constants.0")?.elements).toEqual(Buffer.from(floats(9)));
    expect(found.metadata).toEqual({ sizes: [1, 2] });
  });

  it("a bare tensor, and lists of them", async () => {
    expect((await planned(view))[1]).toEqual(["tensor"]);
    const [found, names] = await planned([view, { a: view }, "b"]);
    expect(names).toEqual(["0", "1.a"]);
    expect(found.metadata).toEqual({ value: [null, null, "b"] });
  });

  it.each([
    [
      "a quantized tensor",
      call(utils("_rebuild_qtensor"), whole, 0, tuple(1), tuple(1), tuple(), false, {}),
      "quantized",
    ],
    ["elements that need scales", tensor(storage("QInt8Storage", "0", 6), 0, [1], [1]), "dtype"],
    ["elements without a type", tensor(storage("UntypedStorage", "0", 6), 0, [1], [1]), "dtype"],
    [
      "elements of another type",
      call(
        utils("_rebuild_tensor_v3"),
        whole,
        0,
        tuple(1),
        tuple(1),
        false,
        null,
        global("torch", "quint4x2"),
      ),
      "dtype",
    ],
    ["a storage that is not there", tensor(storage("FloatStorage", "9", 6), 0, [1], [1]), "storage-missing"],
    [
      "a storage longer than its member",
      tensor(storage("FloatStorage", "0", 7), 0, [1], [1]),
      "storage-size",
    ],
    ["a storage of -1 elements", tensor(storage("FloatStorage", "0", -1), 0, [1], [1]), "storage-size"],
    ["the code of a module", new Raw(tuple("module", "x").bytes, "Q"), "pickle-persistent-id"],
    ["another persistent id", new Raw("K\x01Q"), "pickle-persistent-id"],
    ["a module", call(global("torch.nn.modules.linear", "Linear")), "pickle-global"],
    ["its class called", call(global("torch", "Tensor"), 1), "pickle-call"],
    [
      "a tensor without a storage",
      call(utils("_rebuild_tensor_v2"), null, 0, tuple(1), tuple(1)),
      "pickle-call",
    ],
    ["a tensor of texts", call(utils("_rebuild_tensor_v2"), whole, 0, tuple("1"), tuple(1)), "strides"],
    [
      "a device tensor of another type",
      call(
        utils("_rebuild_device_tensor_from_numpy"),
        array("<f4", [6], bytes(six)),
        global("torch", "bfloat16"),
        "xla",
        false,
      ),
      "dtype",
    ],
  ] as const)("refused: %s", async (_what, value, rule) => {
    const object = { x: value };
    expect(await ruleOf(plan(checkpoint(object, { 0: six })))).toBe(rule);
  });

  it("a state is no way to change what a storage or a fact is", async () => {
    expect(await ruleOf(plan(checkpoint({ x: build(whole, {}) }, { 0: six })))).toBe("pickle-build");
  });
});

describe("datasets of Tensorus", () => {
  const one = tensor(whole, 0, [3], [1]);
  const two = tensor(whole, 3, [3], [1]);

  it("are records with their metadata", async () => {
    const file = checkpoint(
      {
        tensors: [one, two],
        metadata: [
          { record_id: "8a1c", label: "cat", shape: tuple(3), dtype: "torch.float32", version: 1 },
          { label: "dog" },
        ],
        schema: { dtype: "torch.float32" },
      },
      { 0: six },
    );
    const found = await plan(file);
    const tensors = await tensorsOf(found, file);
    expect([...tensors].map(([name, { metadata }]) => [name, metadata])).toEqual([
      ["8a1c", { record_id: "8a1c", label: "cat", shape: [3], dtype: "torch.float32", version: 1 }],
      ["1", { label: "dog" }],
    ]);
    expect(found.metadata).toEqual({ schema: { dtype: "torch.float32" } });
  });

  it("an object that only looks like one is named as any other", async () => {
    for (const metadata of [[], [{}, 1], "x"] as Pickled[]) {
      const file = checkpoint({ tensors: [one, two], metadata }, { 0: six });
      expect([...(await tensorsOf(await plan(file), file)).keys()]).toEqual(["tensors.0", "tensors.1"]);
    }
  });
});

describe("archives and legacy files", () => {
  const object = { x: tensor(whole, 0, [6], [1]) };
  const member = { name: "m/data.pkl", data: pickle(object) };

  it.each([
    ["no data.pkl", [{ name: "m/version", data: text("3") }], "torch-archive"],
    ["two data.pkl", [member, { name: "n/data.pkl", data: pickle(object) }], "torch-archive"],
    ["a byteorder of its own", [member, { name: "m/byteorder", data: text("middle") }], "byteorder"],
    ["a byteorder of a megabyte", [member, { name: "m/byteorder", data: new Uint8Array(1 << 20) }], "limit"],
    [
      "a compressed pickle that is a bomb",
      [{ name: "m/data.pkl", data: new Uint8Array(70_000_000), deflated: true }],
      "limit",
    ],
  ])("refused: %s", async (_what, members, rule) => {
    expect(await ruleOf(plan(zipOf(members)))).toBe(rule);
  });

  it("a damaged pickle is found by its checksum", async () => {
    const file = checkpoint(object, { 0: six });
    file[60]! ^= 1;
    expect(await ruleOf(plan(file))).toBe("zip-checksum");
  });

  it("legacy views of a storage, as the oldest have them", async () => {
    const view = (first: number, count: number): Raw =>
      storage("FloatStorage", "0", 6, tuple("7", first, count));
    const file = legacyCheckpoint({ x: tensor(view(2, 3), 1, [2], [1]) }, { 0: [6, six] });
    expect((await tensorsOf(await plan(file), file)).get("x")?.elements).toEqual(Buffer.from(floats(3, 4)));
    for (const [first, count] of [
      [4, 3],
      [-1, 2],
      [2 ** 52, 1],
    ] as const) {
      const bad = legacyCheckpoint({ x: tensor(view(first, count), 0, [1], [1]) }, { 0: [6, six] });
      expect(await ruleOf(plan(bad))).toMatch(/^(outside-storage|storage-size)$/);
    }
  });

  it.each([
    ["a storage that the object does not name", legacyCheckpoint({}, { 0: [6, six] }), "storage-list"],
    ["a storage that is not listed", legacyCheckpoint(object, {}), "storage-missing"],
    ["another number of elements", legacyCheckpoint(object, { 0: [5, six] }), "storage-size"],
    ["a negative number of elements", legacyCheckpoint(object, { 0: [-6, six] }), "storage-size"],
    ["the file ends in a storage", legacyCheckpoint(object, { 0: [6, six] }).slice(0, -1), "truncated"],
    ["the file ends before a storage", legacyCheckpoint(object, { 0: [6, six] }).slice(0, -25), "truncated"],
    [
      "a storage named with two types",
      legacyCheckpoint({ ...object, y: tensor(storage("IntStorage", "0", 6), 0, [6], [1]) }, { 0: [6, six] }),
      "storage-size",
    ],
    ["from before 0.1.10", Buffer.concat([text("sys_info\0"), new Uint8Array(600)]), "torch-tar"],
  ])("refused: %s", async (_what, file, rule) => {
    expect(await ruleOf(plan(new Uint8Array(file)))).toBe(rule);
  });

  it("bytes behind the last storage stay", async () => {
    const file = Buffer.concat([legacyCheckpoint(object, { 0: [6, six] }), text("more")]);
    expect((await plan(new Uint8Array(file))).parts.at(-1)).toMatchObject({ kind: "literal", bytes: 4 });
  });

  it("is claimed by content, and by name where the extension is one of checkpoints", async () => {
    const zip = checkpoint(object, { 0: six });
    const legacy = decode(fixtures.legacy[2]);
    for (const file of [zip, legacy, decode(fixtures.legacy[4])]) {
      expect(torch.matches("pytorch_model.bin", file.subarray(0, 256))).toBe("name");
      expect(torch.matches("a.PTH", file.subarray(0, 256))).toBe("name");
      expect(torch.matches("weights", file.subarray(0, 256))).toBe("content");
    }
    for (const other of [
      text("ggml"),
      zipOf([{ name: "word/document.xml", data: six }]),
      new Uint8Array(0),
      zip.subarray(0, 29),
    ]) {
      expect(torch.matches("a.bin", other)).toBeUndefined();
      expect(torch.matches("a.pt", other)).toBeUndefined();
    }
  });
});

describe("real checkpoints", () => {
  const folder = join(sharedData, "public");
  const names = existsSync(folder)
    ? readdirSync(folder).filter(
        (name) => /\.(pt|pth|jit)$/.test(name) && existsSync(join(folder, `${name}.safetensors`)),
      )
    : [];
  const skipped = names.length === 0 ? " (skipped: no ../shared/data beside the repository)" : "";

  it.skipIf(names.length === 0)(`hold the tensors of their conversions, bit for bit${skipped}`, async () => {
    expect(names.length).toBeGreaterThanOrEqual(5);
    for (const name of names) {
      const file = new Uint8Array(readFileSync(join(folder, name)));
      const { format, plan: found } = await planSource(bufferSource(name, file), name);
      expect(format).toBe("torch");
      checkPlan("file", file.length, found.parts, found.derived);
      const converted = new Uint8Array(readFileSync(join(folder, `${name}.safetensors`)));
      const wanted = await planSource(bufferSource(name, converted), "x.safetensors");
      const tensors = await tensorsOf(found, file);
      const expected = await tensorsOf(wanted.plan, converted);
      expect([...tensors.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [tensorName, { dtype, shape, elements }] of expected) {
        const got = tensors.get(tensorName)!;
        expect([tensorName, got.dtype, got.shape]).toEqual([tensorName, dtype, shape]);
        expect(got.elements.equals(elements), `${name}: ${tensorName}`).toBe(true);
        expect(got.isDerived).toBe(false);
      }
    }
  });

  const other = join(folder, "rwkv-tiny-v6__tiny-rwkv-6v0-1m-FP32.bin");
  it.skipIf(!existsSync(other))("a .bin of something else is not claimed", () => {
    expect(torch.matches("x.bin", readFileSync(other).subarray(0, 256))).toBeUndefined();
  });
});
