import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { InvalidFileError } from "@tensorcask/codec";
import { describe, expect, it } from "vitest";
import type { FormatPlan } from "../src/format/format.ts";
import { npy } from "../src/format/npy/plan.ts";
import { MAX_PICKLE_BYTES } from "../src/format/pickle/input.ts";
import { MAX_VALUES } from "../src/format/pickle/machine.ts";
import { planObjectArray } from "../src/format/pickle/object-array.ts";
import { bufferSource, type Source } from "../src/model/plan.ts";
import {
  array,
  build,
  bytes,
  call,
  decode,
  fixtures,
  floats,
  global,
  type Pickled,
  pickle,
  Raw,
  ruleOf,
  tensorsOf,
  tuple,
} from "./format-pickle-cases.ts";
import { sharedData } from "./store-harness.ts";

const plan = (file: Uint8Array): Promise<FormatPlan> => planObjectArray(bufferSource("file", file), 0);
const planOf = (value: Pickled): Promise<FormatPlan> => plan(pickle(value));
const code = (...pieces: (string | number | Uint8Array)[]): Promise<FormatPlan> =>
  plan(new Uint8Array(new Raw(...pieces).bytes));

describe("pickles that CPython wrote", () => {
  it.each(Object.entries(fixtures.protocols))("protocol %s", async (protocol, base64) => {
    const file = decode(base64);
    const found = await plan(file);
    const tensors = await tensorsOf(found, file);
    expect(
      [...tensors].map(([name, { dtype, shape, elements }]) => [
        name,
        dtype,
        shape,
        elements.toString("hex"),
      ]),
    ).toEqual([
      ["layer.w", "float32", [2, 3], Buffer.from(floats(0, 1, 2, 3, 4, 5)).toString("hex")],
      ["layer.b", "int16", [2, 3], "000001000200030004000500"],
      ["big", "float64", [2], Buffer.from(new Float64Array([1.5, -2]).buffer).toString("hex")],
      ["bool", "bool", [3], "010001"],
      ["complex", "complex64", [1], Buffer.from(floats(1, 2)).toString("hex")],
      ["empty", "float32", [0, 3], ""],
      ["scalar array", "uint8", [], "07"],
      ["objects.0", "int64", [1], "0100000000000000"],
    ]);
    // Bytes are bytes from protocol 3 on; before that they are written as text.
    expect([...tensors.values()].every(({ isDerived }) => isDerived === Number(protocol) < 3)).toBe(true);
    expect(found.metadata).toEqual({
      texts: { numpy: { dtype: "U2", shape: [2] } },
      objects: [null, "text"],
      int: 3,
      negative: -70000,
      huge: "1180591620717411303424",
      float: 3.5,
      nan: "nan",
      é: "ü\n'\\",
      none: null,
      true: true,
      tuple: [1, 2],
      list: [1, [2]],
      set: [5],
      bytes: { bytes: 2 },
      number: 1.5,
      integer: "1152921504606846976",
      "1": "one",
      "(1, a)": 2,
      ["__proto__"]: 4,
      ordered: { z: 1, a: 2 },
    });
    expect(Object.getPrototypeOf(found.metadata)).toBe(Object.prototype);
  });

  it("numpy files of objects", async () => {
    const file = decode(fixtures.npy);
    const found = await npy.plan(bufferSource("weights.npy", file));
    const tensors = await tensorsOf(found, file);
    expect([...tensors.keys()]).toEqual(["conv.w"]);
    expect(tensors.get("conv.w")).toMatchObject({ shape: [2, 3], isDerived: false });
    expect(found.metadata).toEqual({ note: "x" });
  });

  const folder = join(sharedData, "public");
  const real = ["mtcnn__facenet_det2.npy", "mtcnn__facenet_det3.npy"].filter((name) =>
    existsSync(join(folder, name)),
  );
  it.skipIf(real.length === 0)(
    `weights that Python 2 pickled${real.length === 0 ? " (skipped: no ../shared/data beside the repository)" : ""}`,
    async () => {
      for (const name of real) {
        const file = new Uint8Array(readFileSync(join(folder, name)));
        const found = await npy.plan(bufferSource(name, file));
        const tensors = await tensorsOf(found, file);
        expect(tensors.size).toBe(name.includes("det2") ? 16 : 21);
        expect([...tensors.values()].every(({ isDerived, dtype }) => !isDerived && dtype === "float32")).toBe(
          true,
        );
        expect(tensors.get("conv1.weights")?.shape).toEqual([3, 3, 3, name.includes("det2") ? 28 : 32]);
        // Their last layers are column-major; torch's copy of the same network holds them transposed.
        const wide = found.parts.filter((part) => part.kind === "tensor" && part.layout?.columnMajor);
        expect(wide).toHaveLength(name.includes("det2") ? 2 : 3);
      }
    },
  );
});

describe("what a pickle may name", () => {
  it.each([
    ["os", "system"],
    ["posix", "system"],
    ["builtins", "eval"],
    ["builtins", "getattr"],
    ["builtins", "__import__"],
    ["numpy", "load"],
    ["torch", "load"],
    ["torch.storage", "_load_from_bytes"],
    ["__torch__.m", "C"],
    ["copyreg", "_reconstructor"],
  ])("%s.%s is refused before anything is done with it", async (module, name) => {
    for (const file of [planOf(call(global(module, name), "x")), planOf({ unused: global(module, name) })]) {
      const error = await file.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(InvalidFileError);
      expect(error).toMatchObject({ rule: "pickle-global" });
      expect(String(error)).toContain(`${module}.${name}`);
      expect(String(error)).toMatch(/at byte \d+: .*nothing was executed/);
    }
  });

  it("also by the opcodes that name a class in other ways", async () => {
    expect(await ruleOf(code("(ios\nsystem\n."))).toBe("pickle-global");
    expect(await ruleOf(code("\x8c\x02os\x8c\x06system\x93."))).toBe("pickle-global");
    expect(await ruleOf(code("K\x01K\x02\x93."))).toBe("pickle-global");
    for (const extension of ["\x82\x01.", "\x83\x01\x00.", "\x84\x01\x00\x00\x00."]) {
      expect(await ruleOf(code(extension))).toBe("pickle-opcode");
    }
  });

  it("what is named can be called in its own way only", async () => {
    const ndarray = global("numpy", "ndarray");
    for (const value of [
      call("text"),
      call(7, 1),
      call(global("_codecs", "encode"), "x", "rot13"),
      call(global("collections", "OrderedDict"), [1]),
      call(global("collections", "OrderedDict"), [[1, 2, 3]]),
      call(global("builtins", "complex"), "1"),
      call(global("builtins", "set"), 5),
      new Raw(ndarray.bytes, "K\x01R"),
      new Raw(ndarray.bytes, ")}(K\x01K\x02u\x92"),
    ]) {
      expect(await ruleOf(planOf(value))).toBe("pickle-call");
    }
    expect(await ruleOf(planOf(build([], {})))).toBe("pickle-build");
    expect(await ruleOf(planOf(build(5, {})))).toBe("pickle-build");
    expect(await ruleOf(code("X\x01\x00\x00\x00kQ."))).toBe("pickle-persistent-id");
  });
});

describe("damaged pickles", () => {
  it.each([
    ["an empty one", "", "truncated"],
    ["no STOP", "K\x01", "truncated"],
    ["a text that ends early", "X\xff\xff\xff\x7fab.", "truncated"],
    ["bytes that end early", `\x8e${"\xff".repeat(8)}.`, "truncated"],
    ["a frame that ends early", "\x95\xff\x00\x00\x00\x00\x00\x00\x00.", "truncated"],
    ["a line without end", "I12", "truncated"],
    ["a line of a megabyte", `V${"x".repeat(1 << 20)}\n.`, "pickle-line"],
    ["a later protocol", "\x80\x06N.", "pickle-protocol"],
    ["no opcode", "\xff.", "pickle-opcode"],
    ["a buffer outside", "\x97.", "pickle-opcode"],
    ["nothing on the stack", ".", "pickle-stack"],
    ["nothing above the mark", "](a.", "pickle-stack"],
    ["no mark", "t.", "pickle-stack"],
    ["a key without a value", "}(K\x01u.", "pickle-stack"],
    ["items in a tuple", "(tK\x01a.", "pickle-stack"],
    ["items in a text", "X\x00\x00\x00\x00K\x01K\x02s.", "pickle-stack"],
    ["nothing in the memo", "h\x05.", "pickle-memo"],
    ["an index that is none", "gx\n.", "pickle-memo"],
    ["a memo beyond its limit", "Nr\xff\xff\xff\xff.", "limit"],
    ["a text that is not UTF-8", "X\x01\x00\x00\x00\xff.", "pickle-text"],
    ["half of a surrogate pair", "V\\ud800\n.", "pickle-text"],
    ["a string without quotes", "Sab\n.", "pickle-text"],
    ["an integer that is none", "I1x\n.", "pickle-integer"],
    ["an integer of a gigabyte", "\x8b\x00\x00\x00\x40.", "pickle-integer"],
    ["a float that is none", "F1.2.3\n.", "pickle-float"],
  ])("%s", async (_what, text, rule) => {
    expect(await ruleOf(code(text))).toBe(rule);
  });

  it("nesting is limited, and needs no recursion to be found", async () => {
    expect(await ruleOf(code("]".repeat(100_000), "a".repeat(99_999), "."))).toBe("nesting");
    expect((await code("]".repeat(60), "a".repeat(59), ".")).metadata).toHaveProperty("value");
  });

  it("an object that holds itself is left out where it does", async () => {
    // d = {}; d["self"] = d; d["n"] = 1; a list likewise.
    expect((await code("}q\x00(X\x04\x00\x00\x00selfh\x00X\x01\x00\x00\x00nK\x01u.")).metadata).toEqual({
      n: 1,
    });
    expect((await code("]q\x00(h\x00K\x01e.")).metadata).toEqual({ value: [null, 1] });
  });

  it("a pickle that unfolds without end is refused, and so are floods of values", async () => {
    // Each list holds the one before twice: 2^50 of the first.
    const laughs = `]q\x00${Array.from({ length: 50 }, () => "](h\x00h\x00eq\x00").join("")}.`;
    expect(await ruleOf(code(laughs))).toBe("limit");
    expect(await ruleOf(code(new Uint8Array(MAX_VALUES + 1).fill("N".charCodeAt(0)), "."))).toBe("limit");
    expect(await ruleOf(code("(", new Uint8Array(MAX_PICKLE_BYTES).fill("2".charCodeAt(0)), "."))).toBe(
      "pickle-stack",
    );
    expect(await ruleOf(code("N", new Uint8Array(17_000_000).fill("2".charCodeAt(0)), "."))).toBe("limit");
  });

  it("calls that copy what they are given count", async () => {
    const list = new Raw("](", "N".repeat(100_000), "e\x85q\x00").bytes;
    const sets = "c__builtin__\nset\nh\x00R".repeat(100);
    expect(await ruleOf(code(list, sets, "."))).toBe("limit");
    const text = new Raw("X\x00\x40\x00\x00", "x".repeat(16_384), "X\x06\x00\x00\x00latin1\x86q\x00").bytes;
    const encoded = "c_codecs\nencode\nh\x00R".repeat(20_000);
    expect(await ruleOf(code(text, encoded, "."))).toBe("limit");
  });

  it("metadata beyond its limit is left out, and says so", async () => {
    const { metadata } = await planOf({
      short: 1,
      long: "x".repeat(10_000),
      more: Array(100).fill("y".repeat(5000)),
    });
    expect(metadata).toMatchObject({ short: 1, "(cut)": true });
    expect(JSON.stringify(metadata).length).toBeLessThan(300_000);
  });
});

describe("numpy arrays in pickles", () => {
  it("are parts where their bytes lie in the file", async () => {
    const file = pickle({
      a: array("<f4", [2], bytes(floats(1, 2))),
      b: array(">i4", [1, 2], bytes(new Uint8Array(8))),
    });
    const found = await plan(file);
    const tensors = found.parts.filter((part) => part.kind === "tensor");
    expect(tensors.map(({ name, bytes: size, layout }) => [name, size, layout])).toEqual([
      ["a", 8, undefined],
      ["b", 8, { bigEndian: true }],
    ]);
    expect(file.subarray(tensors[0]!.offset, tensors[0]!.offset + 8)).toEqual(floats(1, 2));
  });

  it("long ones too, which are stepped over", async () => {
    const data = new Uint8Array(3_000_000).map((_, index) => index * 7);
    const file = pickle({ before: 1, a: array("|u1", [3000, 1000], bytes(data), true), behind: 2 });
    let read = 0;
    const source = bufferSource("file", file);
    const counting: Source = {
      ...source,
      read(into, position) {
        read += into.length;
        return source.read(into, position);
      },
    };
    const found = await planObjectArray(counting, 0);
    expect(read).toBeLessThan(200_000);
    expect(found.metadata).toEqual({ before: 1, behind: 2 });
    expect((await tensorsOf(found, file)).get("a")?.elements[1]).toBe((3000 * 7) & 0xff);
  });

  it("the same array twice is kept twice, under two names", async () => {
    const inner = new Raw(array("<f4", [1], bytes(floats(5))).bytes, "q\x07");
    const file = pickle({ a: inner, b: new Raw("h\x07"), c: [new Raw("h\x07")] });
    const tensors = await tensorsOf(await plan(file), file);
    expect([...tensors].map(([name, { isDerived }]) => [name, isDerived])).toEqual([
      ["a", false],
      ["b", true],
      ["c.0", true],
    ]);
    expect(tensors.get("c.0")?.elements).toEqual(Buffer.from(floats(5)));
  });

  it("names that are equal as texts get numbers", async () => {
    const one = (value: number): Uint8Array => array("<f4", [1], bytes(floats(value))).bytes;
    const file = pickle(
      new Raw("}(K\x01", one(1), "X\x01\x00\x00\x001", one(2), "X\x03\x00\x00\x001#2", one(3), "u"),
    );
    const tensors = await tensorsOf(await plan(file), file);
    expect([...tensors].map(([name, { elements }]) => [name, elements.readFloatLE()])).toEqual([
      ["1", 1],
      ["1#2", 2],
      ["1#2#2", 3],
    ]);
  });

  it.each([
    ["bytes missing", array("<f4", [3], bytes(floats(1))), "size-mismatch"],
    ["bytes over", array("<f4", [1], bytes(floats(1, 2))), "size-mismatch"],
    ["no bytes", array("<f4", [1], null), "size-mismatch"],
    ["an absurd shape", array("<f4", [2 ** 52, 2 ** 52], bytes(floats(1))), "size-mismatch"],
    ["a negative axis", array("<f4", [-1, -1], bytes(floats(1))), "shape"],
    [
      "a shape of texts",
      build(call(global("numpy", "ndarray")), tuple(1, tuple("2"), null, false, null)),
      "numpy-array",
    ],
    ["too few objects", array("|O", [3], [1]), "numpy-array"],
    ["a dtype without a code", call(global("numpy", "dtype"), 5), "numpy-dtype"],
    ["a dtype with a wrong state", build(call(global("numpy", "dtype"), "f4"), tuple(3)), "numpy-dtype"],
    ["65 axes", array("<f4", Array(65).fill(1), bytes(floats(1))), "numpy-array"],
  ] as const)("refused: %s", async (_what, value, rule) => {
    expect(await ruleOf(planOf({ x: value }))).toBe(rule);
  });

  it("an array that holds itself", async () => {
    const { metadata } = await code(
      new Raw(call(global("numpy", "ndarray")).bytes, "q\x00").bytes,
      new Raw("((tcnumpy\ndtype\n", tuple("O").bytes, "R\x89](h\x00etb.").bytes,
    );
    expect(metadata).toBeUndefined();
  });
});
