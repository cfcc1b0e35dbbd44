/**
 * `bench`: what presets and codecs make of a file, or of generated data of some kind: size, speed, chains. It also writes such data.
 */
import { extname } from "node:path";
import type { Chunk, Coder, Measured, Sample } from "@tensorcask/samples";
import { formatBytes, formatItems, formatRatio, printable, renderTable } from "@tensorcask/stats";
import type { Command } from "commander";
import { openInput, openOutput, STANDARD } from "../byte-files.ts";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { CommandUsageError } from "../failure.ts";
import { parseBytes, parseCount } from "../option-values.ts";
import { shapeText } from "../record-text.ts";

interface BenchOptions {
  readonly generate?: string;
  readonly seed?: number;
  readonly bytes?: number;
  readonly out?: string;
  readonly force?: boolean;
  readonly codecs?: boolean;
  readonly list?: boolean;
}

const DEFAULT_SEED = 1;
const GENERATED_BYTES = 4 * 2 ** 20;
/** What is measured lies in memory, some times over. */
const FILE_BYTES = 64 * 2 ** 20;

/** What is measured: what it is called, what it is, its chunks. */
interface Input {
  readonly name: string;
  /** Fields of `--json`, beside the name. */
  readonly facts: object;
  /** What the title says beside the name. */
  readonly about: readonly string[];
  readonly chunks: readonly Chunk[];
}

export const define: Define = (command, open) => {
  command
    .description(
      "Codes files, or generated data of some kind, with the lossless presets and, beside them, zstd and gzip: ratio, speed of one\n" +
        "thread, and the chains of codecs that were chosen. Nothing is stored; everything is decoded and compared. With --out it writes\n" +
        "the generated data instead.",
    )
    .argument("[files...]", "files to measure")
    .option("--generate <kind>", "generate data of this kind; --list lists them")
    .option("--seed <n>", "the same seed gives the same data (default: 1)", parseCount)
    .option("--bytes <size>", "how much: of data 4MiB, of each file its first 64MiB", parseBytes)
    .option(
      "--out <path>",
      "write the data to x.safetensors, or raw to any other name; - for standard output",
    )
    .option("--force", "write a file that exists anew")
    .option("--codecs", "measure every codec by itself, too")
    .option("--list", "list the kinds of data")
    .action(async (files: string[], options: BenchOptions, self: Command) => {
      const context = open(self);
      checkOptions(files, options);
      if (options.list === true) await listKinds(context);
      else if (options.generate === undefined) await benchFiles(files, options, context);
      else await benchKind(options.generate, options, context);
    });
  addExamples(command, [
    ["tensorcask bench model.safetensors", "what the presets make of a file"],
    ["tensorcask bench --list", "the kinds of data"],
    ["tensorcask bench --generate telemetry --codecs", "a kind, with every codec"],
    ["tensorcask bench --generate text --seed 7 --bytes 64MiB --out words.txt", "write the data"],
    ["tensorcask bench --generate image --out image.safetensors", "the same as a tensor"],
  ]);
};

/** Throws `CommandUsageError` for options that do not go together. */
function checkOptions(files: readonly string[], options: BenchOptions): void {
  const { generate, list } = options;
  const asked = [files.length > 0, generate !== undefined, list === true].filter(Boolean).length;
  if (asked !== 1) {
    throw new CommandUsageError("files", "give files, or --generate KIND, or --list");
  }
  for (const option of ["seed", "out"] as const) {
    if (options[option] !== undefined && generate === undefined)
      throw new CommandUsageError(option, `--${option} goes with --generate`);
  }
  if (options.out !== undefined && options.codecs === true) {
    throw new CommandUsageError("codecs", "--out writes the data and measures nothing; leave --codecs out");
  }
}

async function listKinds(context: CommandContext): Promise<void> {
  const { kinds } = await import("@tensorcask/samples");
  const facts = kinds.map(({ name, origin, description }) => ({ name, origin, description }));
  await context.print({ kinds: facts }, () =>
    renderTable(
      [{ title: "kind" }, { title: "data" }],
      kinds.map(({ name, description }) => [name, description]),
    ),
  );
}

async function benchKind(kind: string, options: BenchOptions, context: CommandContext): Promise<void> {
  const { chunksOf, generateSample } = await import("@tensorcask/samples");
  const { seed = DEFAULT_SEED, bytes = GENERATED_BYTES } = options;
  const sample = await generateSample(kind, seed, bytes);
  const { dtype, shape, data } = sample;
  const facts = { seed, dtype, shape };
  if (options.out !== undefined) {
    await writeSample(kind, seed, sample, options.out, options.force, context);
    return;
  }
  const chunks = chunksOf(dtype, data);
  const about = [`seed ${seed}`, `${dtype} ${shapeText(shape)}`];
  await measureAndPrint([async () => ({ name: kind, facts, about, chunks })], options, context);
}

async function writeSample(
  kind: string,
  seed: number,
  { dtype, shape, data }: Sample,
  path: string,
  force: boolean | undefined,
  context: CommandContext,
): Promise<void> {
  const format = extname(path).toLowerCase() === ".safetensors" ? "safetensors" : "raw";
  if (path === STANDARD && context.json) {
    throw new CommandUsageError("json", "--json prints on standard output, where the bytes go");
  }
  const pieces = [data];
  if (format === "safetensors") {
    const { dtypeOf } = await import("@tensorcask/codec");
    const { layoutSafetensors } = await import("@tensorcask/core");
    pieces.unshift(new Uint8Array(layoutSafetensors([{ name: kind, dtype: dtypeOf(dtype), shape }]).header));
  }
  const target = await openOutput(path, context.host, { force });
  try {
    for (const piece of pieces) await target.write(piece);
    await target.complete();
  } finally {
    await target.discard();
  }
  if (path === STANDARD) return;
  const bytesWritten = pieces.reduce((sum, { length }) => sum + length, 0);
  await context.print({ kind, seed, dtype, shape, out: path, format, bytesWritten }, () => [
    `Wrote ${kind}, seed ${seed}, ${dtype} ${shapeText(shape)}, to ${printable(path)}: ${formatBytes(bytesWritten)}`,
  ]);
}

async function benchFiles(
  files: readonly string[],
  options: BenchOptions,
  context: CommandContext,
): Promise<void> {
  const most = options.bytes ?? FILE_BYTES;
  const inputs = files.map((path) => async (): Promise<Input> => {
    const { bytesOfChunks, chunksOfStream } = await import("@tensorcask/samples");
    const { source, size } = await openInput(path, context.host);
    const { chunks, isWhole } = await chunksOfStream(
      source,
      { name: path, signal: context.signal, ...(size === undefined ? {} : { size }) },
      most,
    );
    const bytes = bytesOfChunks(chunks);
    const dtypes = [...new Set(chunks.map(({ dtype }) => dtype.name))];
    const of = size === undefined ? "" : ` of ${formatBytes(size)}`;
    const part = isWhole ? [] : [`the first ${formatBytes(bytes)}${of}`];
    return { name: path, facts: { dtypes, isWhole }, about: [...part, dtypes.join(", ")], chunks };
  });
  await measureAndPrint(inputs, options, context);
}

/** Measures inputs one after the other, so that only one is in memory, and prints each when it is done. */
async function measureAndPrint(
  inputs: readonly (() => Promise<Input>)[],
  options: BenchOptions,
  context: CommandContext,
): Promise<void> {
  const samples = await import("@tensorcask/samples");
  const { ready } = await import("@tensorcask/codec");
  await ready();
  context.outcome.left = "nothing was written";
  const { presetCoders, peerCoders, codecCoders, measureCoders, bytesOfChunks, chainsText } = samples;
  const coders: Coder[] = [...presetCoders, ...peerCoders, ...(options.codecs === true ? codecCoders : [])];
  const all: object[] = [];
  for (const [index, load] of inputs.entries()) {
    const { name, facts, about, chunks } = await load();
    const measured = await measureCoders(chunks, coders, { signal: context.signal });
    const bytes = bytesOfChunks(chunks);
    if (context.json) {
      all.push({ name, ...facts, bytes, chunks: chunks.length, coders: measured.map(coderJson) });
      continue;
    }
    const size = `${formatBytes(bytes)} in ${formatItems(chunks.length, "chunk")}`;
    await context.printLines([
      ...(index === 0 ? [] : [""]),
      `${printable(name)}: ${[...about, size].join(", ")}`,
      ...coderLines(measured, chainsText),
    ]);
  }
  if (context.json) await context.printJson({ inputs: all });
}

/** A coder as `--json` prints it. */
function coderJson(one: Measured): object {
  const { coder, bytesBefore, bytesAfter, encodeSeconds, decodeSeconds, isPart, chains } = one;
  const ratio = bytesBefore === 0 ? null : bytesBefore / bytesAfter;
  return {
    coder,
    bytesBefore,
    bytesAfter,
    ratio,
    encodeSeconds,
    decodeSeconds,
    isPart,
    chains: chains ?? [],
  };
}

function coderLines(
  measured: readonly Measured[],
  chainsText: (chains: NonNullable<Measured["chains"]>) => string,
): string[] {
  const speed = (bytes: number, seconds: number): string =>
    bytes === 0 ? "-" : (bytes / 1e6 / seconds).toFixed(bytes / 1e6 / seconds < 10 ? 1 : 0);
  const rows = measured.map(
    ({ coder, bytesBefore, bytesAfter, encodeSeconds, decodeSeconds, isPart, chains }) => [
      isPart ? `${coder} *` : coder,
      formatRatio(bytesBefore === 0 ? null : bytesBefore / bytesAfter),
      bytesBefore === 0 ? "-" : ((8 * bytesAfter) / bytesBefore).toFixed(3),
      speed(bytesBefore, encodeSeconds),
      speed(bytesBefore, decodeSeconds),
      chains === undefined ? "" : chainsText(chains),
    ],
  );
  const columns = [
    ...[{ title: "coder" }, { title: "ratio", align: "right" }, { title: "bits/byte", align: "right" }],
    ...[
      { title: "encode MB/s", align: "right" },
      { title: "decode MB/s", align: "right" },
      { title: "chains" },
    ],
  ] as const;
  const slow = measured.some(({ isPart }) => isPart)
    ? ["  *: too slow for all of it; some of the chunks, evenly spread"]
    : [];
  return [...renderTable(columns, rows, { indent: "  " }), ...slow];
}
