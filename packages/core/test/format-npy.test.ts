import { dtypeOf, dtypes, InvalidFileError, UsageError } from "@tensorcask/codec";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_NPY_DICT_BYTES, readNpyHeader } from "../src/format/npy/header.ts";
import { npy } from "../src/format/npy/plan.ts";
import { npyHeader, npyWriter } from "../src/format/npy/writer.ts";
import type { OutputTensor } from "../src/format/writer.ts";
import { bufferSource, type PlanPart, type Source } from "../src/model/plan.ts";
import { npyOf, numpyArrays, numpyHeaders } from "./format-npy-cases.ts";

type TensorPart = PlanPart & { readonly kind: "tensor" };

async function tensorOf(file: Uint8Array, name = "folder/weights.npy"): Promise<TensorPart> {
  const { parts } = await npy.plan(bufferSource(name, file));
  const [header, tensor] = parts;
  expect(header).toEqual({ kind: "literal", offset: 0, bytes: tensor!.offset });
  expect(tensor!.offset + tensor!.bytes).toBe(file.length);
  if (tensor?.kind !== "tensor" || parts.length !== 2) throw new Error("a header and a tensor were expected");
  return tensor;
}

async function refusal(file: Uint8Array): Promise<InvalidFileError> {
  const error = await npy.plan(bufferSource("x.npy", file)).catch((caught: unknown) => caught);
  if (!(error instanceof InvalidFileError)) throw new Error(`not refused as invalid: ${String(error)}`);
  return error;
}

const dict = (descr: string, shape: string, order = "False"): string =>
  `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }`;

describe("npy: valid files", () => {
  it.each(["v1", "v2", "v3"] as const)("NumPy's %s", async (name) => {
    const file = numpyArrays[name];
    const tensor = await tensorOf(file);
    expect(tensor).toEqual({
      kind: "tensor",
      name: "weights",
      dtype: dtypeOf("float32"),
      shape: [2, 3],
      offset: file.length - 24,
      bytes: 24,
    });
    expect([...new Float32Array(file.slice(tensor.offset).buffer)]).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("big-endian and column-major", async () => {
    expect(await tensorOf(numpyArrays.fortran)).toMatchObject({
      dtype: dtypeOf("int16"),
      shape: [2, 3],
      layout: { bigEndian: true, columnMajor: true },
    });
  });

  const cases: [string, Uint8Array, dtype: string, shape: number[], layout?: object][] = [
    ["a scalar", npyOf(dict("'<f8'", "()"), 8), "float64", []],
    ["an empty array", npyOf(dict("'<f8'", "(0, 9007199254740991)")), "float64", [0, 2 ** 53 - 1]],
    ["a column-major vector", npyOf(dict("'<f2'", "(3,)", "True"), 6), "float16", [3]],
    ["big-endian bytes", npyOf(dict("'>u1'", "(3,)"), 3), "uint8", [3]],
    ["big-endian complex", npyOf(dict("'>c16'", "(1,)"), 16), "complex128", [1], { bigEndian: true }],
    ["column-major only", npyOf(dict("'|b1'", "(2,2)", "True"), 4), "bool", [2, 2], { columnMajor: true }],
    ["the machine's order", npyOf(dict("'=i4'", "(1,)"), 4), "int32", [1]],
    ["no order", npyOf(dict("'u8'", "(1,)"), 8), "uint64", [1]],
    ["bfloat16 of ml_dtypes", npyOf(dict("'<V2'", "(1,)"), 2), "bfloat16", [1]],
    ["float8_e5m2 of ml_dtypes", npyOf(dict("'<f1'", "(1,)"), 1), "float8_e5m2", [1]],
    ["double quotes", npyOf('{"descr":"<f4","shape":(1,),"fortran_order":False}', 4), "float32", [1]],
    [
      "any order and space",
      npyOf("{ 'shape' :( 1 ,\n2, )\t,'fortran_order':False,\r'descr':'<f4'} \n", 8),
      "float32",
      [1, 2],
    ],
    ["long integers of Python 2", npyOf(dict("'<i2'", "(2L, 3L)"), 12), "int16", [2, 3]],
    ["64 dimensions", npyOf(dict("'|i1'", `(${"1,".repeat(64)})`), 1), "int8", new Array<number>(64).fill(1)],
    ["a long header", npyOf(`${dict("'<f4'", "(1,)")}${" ".repeat(60_000)}\n`, 4, 2), "float32", [1]],
  ];
  it.each(cases)("%s", async (_, file, dtype, shape, layout) => {
    const tensor = await tensorOf(file);
    expect([tensor.dtype.name, tensor.shape, tensor.layout]).toEqual([dtype, shape, layout]);
  });

  it("knows each dtype that NumPy has, in either order", async () => {
    const codes =
      "b1 bool i1 int8 u1 uint8 i2 int16 u2 uint16 i4 int32 u4 uint32 i8 int64 u8 uint64 f2 float16 f4 float32 f8 float64 c8 complex64 c16 complex128";
    const pairs = [...codes.matchAll(/(\w+) (\w+)/g)];
    expect(pairs.length).toBe(14);
    for (const [, code, name] of pairs) {
      const bytes = Number(code!.slice(1));
      for (const order of ["<", ">"]) {
        const tensor = await tensorOf(npyOf(dict(`'${order}${code}'`, "(1,)"), bytes));
        expect(tensor.dtype.name).toBe(name);
        expect(tensor.layout).toEqual(order === ">" && bytes > 1 ? { bigEndian: true } : undefined);
      }
    }
  });

  it("names the tensor after the file", async () => {
    const file = numpyArrays.v1;
    for (const [path, name] of [
      ["a/b.c.npy", "b.c"],
      ["B.NPY", "B"],
      ["embedding.bin", "embedding"],
      [".npy", ".npy"],
    ] as const) {
      expect((await tensorOf(file, path)).name).toBe(name);
    }
  });

  it("is claimed by extension or magic", () => {
    expect(npy.matches("a.npy", new Uint8Array(0))).toBe("name");
    expect(npy.matches("a", numpyArrays.v1)).toBe("content");
    expect(npy.matches("a.npy.txt", new Uint8Array(256))).toBeUndefined();
  });

  it("reads the header, never the data", async () => {
    const source = bufferSource("x.npy", numpyArrays.v1.slice(0, 128));
    const reads: number[] = [];
    const counting: Source = {
      ...source,
      bytes: 128 + 24,
      read: (into, position) => {
        reads.push(position + into.length);
        return source.read(into.subarray(0, 128), position);
      },
    };
    expect((await npy.plan(counting)).parts[1]!.bytes).toBe(24);
    expect(reads).toEqual([152]);
    reads.length = 0;
    await expect(npy.plan({ ...counting, bytes: 2 ** 50 })).rejects.toThrow("follow the header");
    expect(reads).toEqual([256]);
  });
});

describe("npy: invalid files", () => {
  const cases: [string, rule: string, Uint8Array][] = [
    ["an empty file", "npy-magic", new Uint8Array(0)],
    ["another file", "npy-magic", new Uint8Array(100)],
    ["only the magic", "npy-version", numpyArrays.v1.slice(0, 6)],
    ["cut off in the length", "missing-bytes", numpyArrays.v1.slice(0, 9)],
    ["cut off in the header", "missing-bytes", numpyArrays.v1.slice(0, 127)],
    ["cut off in the data", "missing-bytes", numpyArrays.v1.slice(0, -1)],
    ["bytes behind the data", "left-over-bytes", npyOf(dict("'<f4'", "(1,)"), 5)],
    ["version 0", "npy-version", npyOf(dict("'<f4'", "()"), 4, 0)],
    ["version 4", "npy-version", npyOf(dict("'<f4'", "()"), 4, 4)],
    ["version 1.1", "npy-version", numpyArrays.v1.map((byte, index) => (index === 7 ? 1 : byte))],
    ["a header over the limit", "header-limit", npyOf(" ".repeat(MAX_NPY_DICT_BYTES + 1), 4, 2)],
    ["no dict", "npy-header", npyOf("")],
    ["an empty dict", "npy-header", npyOf("{}")],
    ["a missing key", "npy-header", npyOf("{'descr': '<f4', 'shape': ()}", 4)],
    ["another key", "npy-header", npyOf("{'descr': '<f4', 'shape': (), 'fortran_order': False, 'x': 1}", 4)],
    [
      "a key twice",
      "npy-header",
      npyOf("{'descr': '<f4', 'descr': '<f8', 'shape': (), 'fortran_order': False}", 4),
    ],
    ["code as dict", "npy-header", npyOf("__import__('os').system('true')")],
    ["code as shape", "npy-header", npyOf(dict("'<f4'", "(2*3,)"), 24)],
    ["code as order", "npy-header", npyOf(dict("'<f4'", "()", "not True"), 4)],
    ["a name that begins as True does", "npy-header", npyOf(dict("'<f4'", "()", "Trues"), 4)],
    ["code behind the dict", "npy-header", npyOf(`${dict("'<f4'", "()")}; 1`, 4)],
    ["a comment", "npy-header", npyOf(`${dict("'<f4'", "()")} # 1`, 4)],
    ["NUL behind the dict", "npy-header", npyOf(`${dict("'<f4'", "()")}\0`, 4)],
    ["two commas", "npy-header", npyOf(dict("'<f4'", "(1,,)"), 4)],
    ["no comma", "npy-header", npyOf("{'descr': '<f4' 'shape': (), 'fortran_order': False}", 4)],
    ["no colon", "npy-header", npyOf("{'descr' '<f4'}", 4)],
    ["an escape", "npy-header", npyOf(dict("'\\x3cf4'", "()"), 4)],
    ["a string that goes on", "npy-header", npyOf("{'descr")],
    ["a list as shape", "npy-header", npyOf(dict("'<f4'", "[1]"), 4)],
    ["a number as shape", "npy-header", npyOf(dict("'<f4'", "(1)"), 4)],
    ["a negative dimension", "npy-header", npyOf(dict("'<f4'", "(-1,)"), 4)],
    ["a dimension with a point", "npy-header", npyOf(dict("'<f4'", "(1.0,)"), 4)],
    ["a dimension in hexadecimal", "npy-header", npyOf(dict("'<f4'", "(0x1,)"), 4)],
    ["a leading zero", "npy-header", npyOf(dict("'<f4'", "(01,)"), 4)],
    ["underscores", "npy-header", npyOf(dict("'<f4'", "(1_0,)"), 40)],
    ["True as dimension", "npy-header", npyOf(dict("'<f4'", "(True,)"), 4)],
    ["a long integer in version 3", "npy-header", npyOf(dict("'<f4'", "(1L,)"), 4, 3)],
    ["1 as order", "npy-header", npyOf(dict("'<f4'", "()", "1"), 4)],
    ["a number as descr", "npy-header", npyOf(dict("4", "()"), 4)],
    ["65 dimensions", "rank-limit", npyOf(dict("'|i1'", `(${"1,".repeat(65)})`), 1)],
    ["a dimension over 2^53", "dimension-limit", npyOf(dict("'<f4'", "(0, 9007199254740992)"))],
    ["a dimension of 1,000 digits", "dimension-limit", npyOf(dict("'<f4'", `(${"9".repeat(1000)},)`))],
    ["2^100 elements", "missing-bytes", npyOf(dict("'<f4'", `(${2 ** 50}, ${2 ** 50})`), 4)],
    ["a structure", "dtype", numpyArrays.structured],
    ["text", "dtype", numpyArrays.text],
    ["dates", "dtype", numpyArrays.dates],
    ["raw bytes", "dtype", numpyArrays.void],
    ["long doubles", "dtype", numpyArrays.longdouble],
    ["an array per element", "dtype", npyOf(dict("('<f4', (2,))", "()"), 8)],
    ["a dtype that is none", "dtype", npyOf(dict("'<q9'", "()"), 9)],
    ["several bytes without order", "dtype", npyOf(dict("'|f4'", "()"), 4)],
  ];
  it.each(cases)("%s", async (_, rule, file) => expect((await refusal(file)).rule).toBe(rule));

  it("says where, and what to do", async () => {
    expect((await refusal(npyOf(dict("'<f4'", "(2*3,)"), 24))).message).toBe(
      `x.npy: its header has "*3,), }" at 62, where ')' should stand`,
    );
    expect((await refusal(npyOf(dict("'<f4'", "(2,)"), 16))).message).toMatch(
      /float32 of shape \[2\] takes 8 bytes, 16 follow the header; .*--opaque/,
    );
    expect((await refusal(numpyArrays.dates)).message).toContain("astype('i8')");
  });

  it("headers of any text are read or refused, and quickly at their limit", async () => {
    const pieces = fc.constantFrom(
      ..."{ } ( ) [ ] : , ' \" True False 1 0 L 1L 'descr' 'shape' 'fortran_order' '<f4' \\ -1 x".split(" "),
      " ",
      "\n",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(pieces, { maxLength: 30 }), async (tokens) => {
        const file = npyOf(tokens.join(""));
        const header = readNpyHeader(
          async (bytes) => file.subarray(0, bytes),
          (rule, message) => new InvalidFileError("x", rule, message),
        );
        await header.catch((error: unknown) => expect(error).toBeInstanceOf(InvalidFileError));
      }),
      { numRuns: 1000 },
    );
    for (const filler of [" ", "{", "(", "'", "1", "1,", "'a',", "\n"]) {
      const text = `{'shape': (${filler.repeat(65_000 / filler.length)}`;
      const startMs = performance.now();
      expect((await refusal(npyOf(text))).tag).toBe("invalid-file");
      expect(performance.now() - startMs).toBeLessThan(1000);
    }
  });
});

const uint8s = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

function output(name: string, dtype: string, shape: number[], ...pieces: Uint8Array[]): OutputTensor {
  return {
    name,
    dtype: dtypeOf(dtype),
    shape,
    async *elements() {
      yield* pieces;
    },
  };
}

async function written(...tensors: OutputTensor[]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  await npyWriter.write(tensors, {}, async (piece) => {
    pieces.push(new Uint8Array(piece));
  });
  return Buffer.concat(pieces);
}

describe("npy: writer", () => {
  it.each(numpyHeaders)("writes NumPy's header of $dtype $shape", ({ dtype, shape, bytes }) => {
    expect(Buffer.from(npyHeader(dtypeOf(dtype), shape)).toString("latin1")).toBe(
      Buffer.from(bytes).toString("latin1"),
    );
  });

  it("writes NumPy's file", async () => {
    const elements = new Uint8Array(Float32Array.of(0, 1, 2, 3, 4, 5).buffer);
    const file = await written(output("a", "float32", [2, 3], elements.subarray(0, 5), elements.subarray(5)));
    expect(file.equals(numpyArrays.v1)).toBe(true);
  });

  it("writes what the reader reads back", async () => {
    const known = new Set(numpyHeaders.map(({ dtype }) => dtype));
    const dtype = fc.constantFrom(...dtypes.filter(({ name }) => known.has(name)));
    await fc.assert(
      fc.asyncProperty(dtype, fc.array(fc.nat(5), { maxLength: 6 }), async ({ name, bits }, shape) => {
        const bytes = shape.reduce((product, length) => product * length, bits / 8);
        const file = await written(output("t", name, shape, new Uint8Array(bytes).fill(7)));
        const tensor = await tensorOf(file, "t.npy");
        expect([tensor.name, tensor.dtype.name, tensor.shape, tensor.layout]).toEqual([
          "t",
          name,
          shape,
          undefined,
        ]);
        expect(tensor.offset % 64).toBe(0);
      }),
    );
  });

  it("refuses what NumPy has no dtype for, and says what to write instead", async () => {
    for (const [dtype, instead] of [
      ["bfloat16", "--dtype float32"],
      ["float8_e4m3fn", "--dtype float32"],
      ["int4", "export gives back"],
      ["uint4", "export gives back"],
      ["ggml_q4_0", "--dtype float32"],
    ] as const) {
      const refused = written(output("a.b", dtype, [2], uint8s(1, 2)));
      await expect(refused).rejects.toThrow(UsageError);
      await expect(refused).rejects.toThrow(new RegExp(`"a.b".*${dtype}.*${instead}`));
    }
    expect(() => npyHeader(dtypeOf("int8"), new Array<number>(65).fill(1))).toThrow(UsageError);
  });

  it("refuses more or less than one tensor, and elements that do not fit", async () => {
    const one = output("a", "int8", [1], uint8s(1));
    await expect(written()).rejects.toThrow("there is none");
    await expect(written(one, one)).rejects.toThrow("there are 2; write .npz");
    await expect(written(output("a", "int8", [2], uint8s(1)))).rejects.toThrow("gave 1 of 2 bytes");
    await expect(written(output("a", "int8", [1], uint8s(1, 2)))).rejects.toThrow("gave more than 1 bytes");
  });
});
