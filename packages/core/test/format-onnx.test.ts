import { byteLength } from "@tensorcask/codec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Found, names, plan, refusal, source, tensors } from "./format-onnx-cases.ts";
import {
  attribute,
  type Bytes,
  bytesTensor,
  dataType,
  dims,
  entry,
  graph,
  graphModel,
  initializer,
  int,
  joined,
  len,
  model,
  name,
  node,
  raw,
  repeated,
  sparseInitializer,
  tag,
  typedNumbers,
  types,
  varint,
} from "./format-onnx-writer.ts";

/** Unknown fields of every wire type. */
const unknown = joined(
  int(99, 7),
  len(98, "text"),
  joined(tag(97, 1), new Uint8Array(8)),
  joined(tag(96, 5), new Uint8Array(4)),
);

describe("elements", () => {
  const shapes = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 });

  it("of every type, in every field, in any order of fields", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...types),
        shapes,
        fc.constantFrom("raw", "packed", "single", "mixed"),
        fc.infiniteStream(fc.nat(255)),
        fc.infiniteStream(fc.nat(1000)),
        async (type, shape, form, noise, order) => {
          const next = (): number => noise.next().value as number;
          const data = Uint8Array.from({ length: byteLength(type.dtype, shape) }, next);
          if (type.dtype.name === "bool") for (const [index, byte] of data.entries()) data[index] = byte & 1;
          const numbers = typedNumbers(type, data);
          const wireType = type.field === 4 ? 5 : type.field === 10 ? 1 : 0;
          const single = (number: Bytes): Bytes => joined(tag(type.field, wireType), number);
          const cut = next() % (numbers.length + 1);
          // What stands in one piece keeps its order; pieces are shuffled.
          const elements: Record<typeof form, Bytes> = {
            raw: raw(data),
            packed: len(type.field, numbers),
            single: joined(...numbers.map(single)),
            mixed: joined(
              len(type.field, numbers.slice(0, cut)),
              len(type.field),
              ...numbers.slice(cut, cut + 1).map(single),
              len(type.field, numbers.slice(cut + 1)),
            ),
          };
          const packedDims = next() % 2 === 0;
          const fields = [
            packedDims
              ? len(
                  1,
                  shape.map((length) => varint(length)),
                )
              : dims(...shape),
            dataType(type.code),
            name("t"),
            elements[form],
            unknown,
            int(14, 0),
          ]
            .map((field) => ({ field, at: order.next().value as number }))
            .sort((a, b) => a.at - b.at)
            .map(({ field }) => field);
          const found = (await tensors(graphModel(unknown, initializer(...fields), unknown))).get("t")!;
          expect(found.dtype).toBe(type.dtype);
          expect(found.shape).toEqual(shape);
          expect(Buffer.compare(found.data, data)).toBe(0);
          if (form === "raw" || data.length === 0 || (form === "packed" && wireType !== 0)) {
            expect(found.derived).toBe(false);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("are decoded in bounded pieces, wherever the file is cut into reads", async () => {
    const values = BigInt64Array.from({ length: 60_000 }, (_, index) =>
      BigInt.asIntN((index % 64) + 1, 0x9e3779b97f4a7c15n * BigInt(index)),
    );
    const data = new Uint8Array(values.buffer);
    const numbers = typedNumbers(types.find(({ code }) => code === 7)!, data);
    const fields = [
      dims(60_000),
      dataType(7),
      len(7, numbers.slice(0, 40_000)),
      ...numbers.slice(40_000).map((number) => joined(tag(7, 0), number)),
    ];
    const file = graphModel(initializer(name("t"), ...fields));
    expect(Buffer.compare((await tensors(file)).get("t")!.data, data)).toBe(0);
    const [tensor] = (await plan(file)).derived!;
    let longest = 0;
    for (let pass = 0; pass < 2; pass++) {
      for await (const piece of tensor!.elements(source(file))) longest = Math.max(longest, piece.length);
    }
    expect(longest).toBe(64 * 1024);
  });

  it("of narrow types may be written with or without their sign; bools as any number", async () => {
    const values = (code: number, ...numbers: number[]): Promise<Map<string, Found>> =>
      tensors(
        graphModel(
          initializer(
            dims(numbers.length),
            dataType(code),
            len(
              5,
              numbers.map((number) => varint(number)),
            ),
          ),
        ),
      );
    expect([...(await values(3, -1, 255, -128, 127)).values()][0]!.data).toEqual(
      Uint8Array.of(255, 255, 128, 127),
    );
    expect([...(await values(10, -1, 0xffff)).values()][0]!.data).toEqual(new Uint8Array(4).fill(255));
    expect([...(await values(9, 0, 1, 2, -1)).values()][0]!.data).toEqual(Uint8Array.of(0, 1, 1, 1));
  });

  it("take part in the file, which comes back from its parts", async () => {
    const file = graphModel(
      initializer(name("a"), ...bytesTensor(1, 2, 3)),
      initializer(name("empty"), dims(0), dataType(1)),
      initializer(name("b"), ...bytesTensor(4)),
    );
    const { parts } = await plan(file);
    expect(parts.map((part) => (part.kind === "tensor" ? part.name : `${part.bytes} bytes`))).toEqual([
      "15 bytes",
      "a",
      "13 bytes",
      "empty",
      "11 bytes",
      "b",
    ]);
  });

  it("without a dtype stay in the file, and the metadata says so", async () => {
    const file = graphModel(
      initializer(name("s"), dims(2), dataType(8), len(6, "one"), len(6, "two")),
      initializer(name("i2"), dims(5), dataType(26), raw([1, 2])),
      initializer(name("later"), dims(5), dataType(40), raw([1, 2, 3])),
      initializer(name("part"), dims(5), dataType(2), len(3, [int(1, 0), int(2, 1)]), raw([1])),
      initializer(name("nothing")),
      initializer(name("u"), ...bytesTensor(1)),
    );
    const found = await plan(file);
    expect(await names(file)).toEqual(["u"]);
    expect(found.metadata).toMatchObject({
      literal_tensor_count: 5,
      literal_tensors: [
        { name: "s", data_type: "STRING" },
        { name: "i2", data_type: "INT2" },
        { name: "later", data_type: "data type 40" },
        { name: "part", data_type: "segment of UINT8" },
        { name: "nothing", data_type: "UNDEFINED" },
      ],
    });
  });
});

describe("merging", () => {
  it("the last of a single field wins, lists are appended", async () => {
    const first = [dims(1), dataType(1), raw([9])];
    const tensor = initializer(...first, dataType(2), raw([1, 2]), name("old"), name("t"), dims(2));
    const found = await tensors(graphModel(tensor));
    expect(found.get("t")).toMatchObject({ shape: [1, 2], data: Uint8Array.of(1, 2) });
  });

  it("a message that appears twice is one", async () => {
    const numbers = [1, 300, 70_000].map((value) => varint(value));
    const file = joined(
      graphModel(initializer(...bytesTensor(1))),
      graph(
        initializer(...bytesTensor(2)),
        node(
          attribute(
            "t",
            len(5, [dims(3), len(5, numbers.slice(0, 2))]),
            len(5, [dataType(6), len(5, numbers.slice(2))]),
          ),
        ),
      ),
    );
    const found = await tensors(file);
    expect([...found.keys()]).toEqual(["initializer[0]", "initializer[1]", "node[0]/t"]);
    expect(new Int32Array(found.get("node[0]/t")!.data.buffer)).toEqual(Int32Array.of(1, 300, 70_000));
  });

  it("fields of another wire type are unknown fields", async () => {
    const file = graphModel(
      len(1, [int(5, 1), int(3, 4)]),
      initializer(int(9, 3), len(2, "x"), int(8, 1), ...bytesTensor(1)),
    );
    expect(await names(file)).toEqual(["initializer[0]"]);
  });
});

describe("names", () => {
  const one = (...fields: Bytes[]): Bytes[] => [...fields, ...bytesTensor(1)];

  it("tell the way to a tensor, wherever names stand", async () => {
    const inner = [
      len(2, "inner"),
      initializer(...one(name("bias"))),
      node(len(3, "n"), attribute("value", len(5, one(name("ignored"))))),
    ];
    const file = model(
      len(25, [
        len(7, [attribute("value", len(5, one())), len(3, "Constant_0")]),
        len(1, "Gelu"),
        len(10, "my.domain"),
        len(11, [len(5, one()), len(1, "alpha")]),
      ]),
      len(25, [len(7, [len(2, ""), len(2, "out"), attribute("value", len(5, one()))])]),
      len(20, [len(1, [initializer(...one(name("start")))]), len(2, [initializer(...one())])]),
      graph(
        initializer(...one(name("conv.weight"))),
        initializer(...one()),
        sparseInitializer(
          len(2, one(name("ignored"))),
          len(1, one(name("embedding"))),
          len(3, [varint(7), varint(3)]),
        ),
        sparseInitializer(len(1, one())),
        node(attribute("tables", len(10, one()), len(10, one()))),
        node(
          attribute("", len(22, [len(1, one()), len(2, one())]), len(23, [len(1, one())])),
          len(2, "first"),
          len(2, "second"),
        ),
        node(attribute("then_branch", len(6, inner)), len(3, "If_5"), len(4, "If")),
        node(attribute("bodies", len(11, inner), len(11, inner)), len(3, "Scan")),
      ),
    );
    expect(await names(file)).toEqual([
      "functions/my.domain.Gelu/Constant_0/value",
      "functions/my.domain.Gelu/alpha",
      "functions/[1]/out/value",
      "training_info[0]/initialization/start",
      "training_info[0]/algorithm/initializer[0]",
      "conv.weight",
      "initializer[1]",
      "embedding/indices",
      "embedding/values",
      "sparse_initializer[1]/values",
      "node[0]/tables[0]",
      "node[0]/tables[1]",
      "first/attribute[0]/values",
      "first/attribute[0]/indices",
      "first/attribute[0][0]/values",
      "If_5/then_branch/bias",
      "If_5/then_branch/n/value",
      "Scan/bodies[0]/bias",
      "Scan/bodies[0]/n/value",
      "Scan/bodies[1]/bias",
      "Scan/bodies[1]/n/value",
    ]);
    const { parts } = await plan(file);
    const embedding = parts.filter((part) => part.kind === "tensor" && part.name.startsWith("embedding"));
    expect(embedding).toMatchObject([
      { metadata: { sparse: "indices", dense_dims: [7, 3] } },
      { metadata: { sparse: "values", dense_dims: [7, 3] } },
    ]);
  });

  it("are unique: the first keeps what it asks for", async () => {
    const file = graphModel(
      ...["a", "a", "a#2", "a", "a#2", ""].map((text) => initializer(...one(name(text)))),
      initializer(...one(name("x".repeat(5000)))),
    );
    expect(await names(file)).toEqual([
      "a",
      "a#3",
      "a#2",
      "a#4",
      "a#2#2",
      "initializer[5]",
      "initializer[6]",
    ]);
  });

  it("that no store takes are replaced; long ways to many tensors are refused", async () => {
    const nested = (depth: number, fields: Bytes[]): Bytes[] =>
      depth === 0
        ? fields
        : [node(len(3, "n".repeat(1000)), attribute("body", len(6, nested(depth - 1, fields))))];
    const deep = await names(
      graphModel(...nested(5, [initializer(...one(name("a"))), initializer(...one(name("b")))])),
    );
    expect(deep).toEqual(["tensor[0]", "tensor[1]"]);
    const tiny = initializer(name("t"));
    const many = graphModel(...nested(3, [repeated(tiny, 40_000)]));
    expect(await refusal(many)).toMatchObject({ rule: "names-limit" });
  });
});

describe("metadata", () => {
  it("is what the model says of itself", async () => {
    const file = model(
      len(2, "pytorch"),
      len(3, "2.3"),
      len(4, "ai.example"),
      int(5, -1),
      len(8, [int(2, 17)]),
      len(8, [len(1, "com.microsoft"), int(2, 1n << 60n)]),
      entry(14, "__proto__", "kept"),
      entry(14, "names", "{0: 'cat'}"),
      len(14, [len(1, "long"), len(2, "x".repeat(70_000))]),
      graph(len(2, "main"), initializer(...bytesTensor(1))),
    );
    expect((await plan(file)).metadata).toEqual({
      ir_version: 8,
      producer_name: "pytorch",
      producer_version: "2.3",
      domain: "ai.example",
      model_version: -1,
      opset_import: { "ai.onnx": 17, "com.microsoft": "1152921504606846976" },
      graph_name: "main",
      metadata_props: Object.fromEntries([
        ["__proto__", "kept"],
        ["names", "{0: 'cat'}"],
      ]),
      metadata_props_omitted: 1,
    });
  });

  it("stays small, whatever the file holds", async () => {
    const loud = "\u0000".repeat(60_000);
    const properties = Array.from({ length: 50 }, (_, index) => entry(14, `p${index}`, loud));
    const literals = Array.from({ length: 200 }, () => initializer(name(loud.slice(0, 4000)), dataType(8)));
    const { metadata } = await plan(model(...properties, len(2, loud), graph(len(2, loud), ...literals)));
    expect(JSON.stringify(metadata).length).toBeLessThan(1024 * 1024);
    expect(metadata).toMatchObject({ metadata_props_omitted: 49, literal_tensor_count: 200 });
  });
});
