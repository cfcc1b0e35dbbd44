import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { onnx } from "../src/format/onnx/plan.ts";
import { safetensors } from "../src/format/safetensors/plan.ts";
import { bufferSource } from "../src/model/plan.ts";
import { fuzzFormat } from "./format-fuzz.ts";
import {
  attribute,
  type Bytes,
  bytesTensor,
  dataType,
  dims,
  entry,
  graph,
  initializer,
  int,
  len,
  model,
  name,
  node,
  raw,
  sparseInitializer,
  typedNumbers,
  types,
  varint,
} from "./format-onnx-writer.ts";
import { newStore, sameBytes, sharedData, temporaryDirectory } from "./store-harness.ts";

/** One tensor of every type, raw or typed. */
const everyType = (form: "raw" | "typed"): Bytes[] =>
  types.map((type) => {
    const data = new Uint8Array(Math.ceil((3 * type.dtype.bits) / 8)).map((_, index) => (index * 37) & 1);
    const elements = form === "raw" ? raw(data) : len(type.field, typedNumbers(type, data));
    return initializer(dims(3), dataType(type.code), name(type.dtype.name), elements);
  });

const external = initializer(
  name("w"),
  dims(4),
  dataType(1),
  int(14, 1),
  entry(13, "location", "w.bin"),
  entry(13, "offset", "16"),
  entry(13, "length", "16"),
);

describe("onnx, fuzzed", () => {
  it("100,000 damaged files are planned or refused", async () => {
    const report = await fuzzFormat({
      format: onnx,
      seeds: [
        model(graph(initializer(name("a"), ...bytesTensor(1, 2, 3)))),
        model(
          len(2, "pytorch"),
          len(8, [int(2, 17)]),
          entry(14, "k", "v"),
          graph(len(2, "main"), ...everyType("raw")),
        ),
        model(graph(...everyType("typed"))),
        model(
          graph(
            sparseInitializer(
              len(1, bytesTensor(1)),
              len(2, [dims(1), dataType(7), len(7, [varint(5)])]),
              int(3, 9),
            ),
            node(
              len(2, "y"),
              len(3, "If_0"),
              attribute("then_branch", len(6, [initializer(name("b"), ...bytesTensor(1, 2))])),
              attribute("values", len(10, bytesTensor(4)), len(10, bytesTensor(5))),
            ),
          ),
          len(20, [len(1, [initializer(...bytesTensor(6))])]),
          len(25, [len(1, "f"), len(7, [attribute("value", len(5, bytesTensor(7)))])]),
        ),
        model(graph(external, initializer(name("s"), dims(1), dataType(8), len(6, "text")))),
      ],
      names: "m.onnx",
      seed: 3,
      derived: true,
    });
    expect(report.planned).toBeGreaterThan(1000);
    expect(report.drained).toBeGreaterThan(1000);
    expect(report.rules.size).toBeGreaterThan(12);
  });
});

const folder = join(sharedData, "public");
const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(".onnx")) : [];
const absent = files.length === 0 ? " (skipped: ../shared/data is not here)" : "";

type Located = ReadonlyMap<string, Buffer>;

/** Bytes of all tensors that are byte ranges, by name. */
async function tensorsOf(path: string): Promise<Located> {
  const file = readFileSync(join(folder, path));
  const format = path.endsWith(".onnx") ? onnx : safetensors;
  const { parts } = await format.plan(bufferSource(path, file));
  return new Map(
    parts.flatMap((part) =>
      part.kind === "tensor"
        ? [[part.name, file.subarray(part.offset, part.offset + part.bytes)] as const]
        : [],
    ),
  );
}

/** Tensors of `a`, empty ones aside, whose bytes are those of some tensor of `b`. */
function sharedBytes(a: Located, b: Located): string[] {
  const known = new Set([...b.values()].map((bytes) => bytes.toString("latin1")));
  return [...a].flatMap(([name, bytes]) =>
    bytes.length > 0 && known.has(bytes.toString("latin1")) ? [name] : [],
  );
}

describe("real models", () => {
  test.skipIf(files.length === 0)(`are imported as tensors and come back bit by bit${absent}`, async () => {
    const store = await newStore("directory", { workers: 2 });
    const out = join(temporaryDirectory(), "out.onnx");
    for (const file of files) {
      const dataset = basename(file, ".onnx");
      await store.importFile(join(folder, file), { dataset });
      const imported = (await store.dataset(dataset))!;
      expect((await imported.files())[0]!.format, file).toBe("onnx");
      const { parts, derived } = await onnx.plan(bufferSource(file, readFileSync(join(folder, file))));
      const planned = parts.filter(({ kind }) => kind === "tensor").length + derived!.length;
      expect(planned, file).toBeGreaterThan(40);
      let records = 0;
      for await (const { name } of imported.records()) records += name === undefined ? 0 : 1;
      expect(records, file).toBe(planned);
      await store.exportFile(dataset, file, out);
      expect(sameBytes(readFileSync(out), readFileSync(join(folder, file))), file).toBe(true);
    }
  });

  test.skipIf(files.length === 0)(
    `hold the tensors of other files of the same weights${absent}`,
    async () => {
      const ultraface = await tensorsOf("ultraface-rfb__version-RFB-320.onnx");
      const ultrafaceTensors = await tensorsOf("ultraface-rfb__version-RFB-320.pth.safetensors");
      expect(ultrafaceTensors.size).toBe(244);
      for (const [name, bytes] of ultrafaceTensors) {
        expect(sameBytes(ultraface.get(name)!, bytes), name).toBe(true);
      }

      // The exporter put every weight into a Constant of a nested graph, or gave it another prefix.
      const silero = await tensorsOf("silero-vad__v6.2.jit.safetensors");
      expect([...silero.values()].filter((bytes) => bytes.length > 0).length).toBe(30);
      expect(sharedBytes(silero, await tensorsOf("silero-vad__v6.2.onnx")).length).toBe(30);
      const only16k = sharedBytes(silero, await tensorsOf("silero-vad__v6.2_16k_op15.onnx"));
      expect(only16k.length).toBe(15);
      expect(only16k.every((name) => name.startsWith("_model."))).toBe(true);
      // Weights of another training: the Fourier basis is all that they share.
      const older = await tensorsOf("silero-vad__16k.safetensors");
      expect(sharedBytes(older, await tensorsOf("silero-vad__v5_half.onnx"))).toEqual(["stft_conv.weight"]);
    },
  );
});
