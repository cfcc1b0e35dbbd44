/**
 * Fuzzing of formats: small valid files are damaged in many ways and planned. A plan that comes out must keep the
 * contract of `FormatPlan`, whatever the file; a refusal must be one of the errors made for it. Anything else (a
 * crash of the runtime, a plan with holes, a buffer larger than the file, a run of over a second) fails, printing
 * the file.
 */
import { type DType, TensorcaskError } from "@tensorcask/codec";
import { type Format, type FormatPlan, HEAD_BYTES } from "../src/format/format.ts";
import { bufferSource, type DerivedTensor, type PlanPart, type Source } from "../src/model/plan.ts";
import { numbers } from "./format-safetensors-cases.ts";

type Random = (n: number) => number;

/** What is fuzzed. */
export interface FuzzOptions {
  readonly format: Format;
  /** Valid files, best under 4 KiB each. Each must be planned. */
  readonly seeds: readonly Uint8Array[];
  /** The name of the files, for formats that look at it. Default: `fuzzed`. */
  readonly names?: string;
  /** Files to make. Default: 100,000. */
  readonly runs?: number;
  /** The same seed makes the same files. */
  readonly seed: number;
  /** Take the elements of derived tensors too. */
  readonly derived?: boolean;
  /** Puts right in place what blind edits break (a length, a checksum), so that they reach what lies behind it. */
  readonly repair?: (file: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;
}

/** What came out. `runs` is `planned` + `refused`. */
export interface FuzzReport {
  readonly runs: number;
  readonly planned: number;
  readonly refused: number;
  /** How often each rule refused a file; `limit` for a `LimitError`. */
  readonly rules: ReadonlyMap<string, number>;
  /** Derived tensors that were taken whole. */
  readonly drained: number;
  readonly slowestMs: number;
}

const DEFAULT_RUNS = 100_000;
const SLOWEST_MS = 1000;

/** Processor time of this process so far: a busy machine must not make a file look slow. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
const HANG_MS = 30_000;
/** Bytes of derived tensors that are taken from one file. */
const DRAINED_BYTES = 256 * 1024;
/** Buffers of this size need no reason in the file: a look at its end, a window to scan. */
const FREE_READ_BYTES = 128 * 1024;
/** Errors that say what is wrong with a file; others blame the caller or the disk. */
const REFUSALS: ReadonlySet<string> = new Set(["invalid-file", "limit"]);

/** Fuzzes a format. Throws an `Error` that prints the seed and the file (base64) at the first broken promise. */
export async function fuzzFormat(options: FuzzOptions): Promise<FuzzReport> {
  const { format, seeds, names = "fuzzed", runs = DEFAULT_RUNS, seed, derived = false, repair } = options;
  const random = numbers(seed);
  const rules = new Map<string, number>();
  let [planned, drained, slowestMs] = [0, 0, 0];

  // A promise that never settles would end the test without naming the file.
  let countSeen = -1;
  let count = 0;
  let reportHang: (error: Error) => void = () => {};
  const hangs = new Promise<never>((_, reject) => {
    reportHang = reject;
  });
  hangs.catch(() => {});
  const watch = setInterval(() => {
    if (count === countSeen) reportHang(new Error("it does not end"));
    countSeen = count;
  }, HANG_MS);

  const run = async (file: Uint8Array): Promise<TensorcaskError | undefined> => {
    const startMs = cpuMs();
    const take = async (): Promise<number> => {
      format.matches(names, file.subarray(0, HEAD_BYTES));
      const source = watchedSource(names, file);
      const plan = await format.plan(source);
      checkPlan(plan, file.length);
      return derived ? await drain(plan, source, startMs) : 0;
    };
    try {
      drained += await Promise.race([take(), hangs]);
      planned++;
      return undefined;
    } catch (error) {
      if (!(error instanceof TensorcaskError) || !REFUSALS.has(error.tag)) throw error;
      return error;
    } finally {
      slowestMs = Math.max(slowestMs, cpuMs() - startMs);
    }
  };

  try {
    for (const [index, file] of seeds.entries()) {
      const refusal = await run(file);
      if (refusal !== undefined) throw new Error(`seed file ${index} is refused`, { cause: refusal });
    }
    [planned, drained, slowestMs] = [0, 0, 0];

    for (count = 1; count <= runs; count++) {
      let file = mutateFile(seeds, random);
      if (repair !== undefined && random(4) > 0) file = repair(file);
      try {
        const refusal = await run(file);
        if (refusal !== undefined) {
          const rule = "rule" in refusal ? String(refusal.rule) : refusal.tag;
          rules.set(rule, (rules.get(rule) ?? 0) + 1);
        }
        if (slowestMs > SLOWEST_MS) throw new Error(`it takes ${Math.round(slowestMs)} ms`);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new Error(
          `${format.id}, seed ${seed}, run ${count}: ${reason}\n${Buffer.from(file).toString("base64")}`,
          { cause: error },
        );
      }
    }
  } finally {
    clearInterval(watch);
  }
  return { runs, planned, refused: runs - planned, rules, drained, slowestMs };
}

/** A source that refuses buffers that no byte of the file asked for: what is read is held in memory. */
function watchedSource(name: string, file: Uint8Array): Source {
  const source = bufferSource(name, file);
  return {
    ...source,
    async read(into, position) {
      if (into.length > Math.max(file.length, FREE_READ_BYTES)) {
        throw new Error(`a buffer of ${into.length} bytes for a file of ${file.length}`);
      }
      if (!Number.isSafeInteger(position) || position < 0) throw new Error(`a read at ${position}`);
      await source.read(into, position);
    },
  };
}

/** Checks what every plan promises, for a file of `fileBytes`. */
export function checkPlan(plan: FormatPlan, fileBytes: number): void {
  const names = new Set<string>();
  checkParts(plan.parts, fileBytes, names);
  for (const tensor of plan.derived ?? []) checkTensor(tensor, names);
  JSON.stringify(plan.metadata);
  for (const [name, partsOf] of plan.companionParts ?? []) {
    if (plan.companions?.includes(name) !== true) throw new Error(`parts of ${name}, which is no companion`);
    for (const bytes of [0, 1, 4096]) {
      try {
        checkParts(partsOf(bytes), bytes, new Set());
      } catch (error) {
        if (!(error instanceof TensorcaskError) || !REFUSALS.has(error.tag)) throw error;
      }
    }
  }
}

function checkParts(parts: readonly PlanPart[], fileBytes: number, names: Set<string>): void {
  let reached = 0;
  for (const part of parts) {
    if (part.offset !== reached)
      throw new Error(`a part at ${part.offset}, the one before ends at ${reached}`);
    if (!Number.isSafeInteger(part.bytes) || part.bytes < 0) throw new Error(`a part of ${part.bytes} bytes`);
    reached += part.bytes;
    if (part.kind === "tensor") {
      checkTensor(part, names);
      if (part.layout !== undefined && part.dtype.bits < 8) throw new Error("a layout of sub-byte elements");
    }
  }
  if (reached !== fileBytes) throw new Error(`the parts end at ${reached}, the file at ${fileBytes}`);
}

interface PlannedTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly metadata?: unknown;
}

function checkTensor({ name, dtype, shape, bytes, metadata }: PlannedTensor, names: Set<string>): void {
  if (names.has(name)) throw new Error(`the name ${JSON.stringify(name)} twice`);
  names.add(name);
  if (!shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0)) {
    throw new Error(`the shape [${shape.join(", ")}]`);
  }
  const bits = shape.reduce((product, dimension) => product * BigInt(dimension), BigInt(dtype.bits));
  if ((bits + 7n) / 8n !== BigInt(bytes)) {
    throw new Error(`${bytes} bytes for ${dtype.name} of shape [${shape.join(", ")}]`);
  }
  JSON.stringify(metadata);
}

/** Takes derived tensors up to a cap; the number of those that came whole. */
async function drain(plan: FormatPlan, source: Source, startMs: number): Promise<number> {
  let left = DRAINED_BYTES;
  let whole = 0;
  for (const tensor of plan.derived ?? []) {
    if (left <= 0) break;
    const taken = await drainTensor(tensor, source, left, startMs);
    left -= taken;
    if (taken === tensor.bytes) whole++;
  }
  return whole;
}

async function drainTensor(
  tensor: DerivedTensor,
  source: Source,
  cap: number,
  startMs: number,
): Promise<number> {
  let taken = 0;
  for await (const piece of tensor.elements(source)) {
    taken += piece.length;
    if (taken > tensor.bytes) throw new Error(`${taken} bytes of ${tensor.bytes} come from ${tensor.name}`);
    if (taken >= cap && taken < tensor.bytes) return taken;
    if (cpuMs() - startMs > SLOWEST_MS) throw new Error(`${tensor.name} does not end`);
  }
  if (taken !== tensor.bytes) throw new Error(`${taken} bytes of ${tensor.bytes} come from ${tensor.name}`);
  return taken;
}

/** One of the files with one to four edits; rarely two of them put together first. */
export function mutateFile(seeds: readonly Uint8Array[], random: Random): Uint8Array<ArrayBuffer> {
  const first = seeds[random(seeds.length)]!;
  let file: Uint8Array<ArrayBuffer> = first.slice();
  if (random(20) === 0) {
    const second = seeds[random(seeds.length)]!;
    file = joined(first.subarray(0, random(first.length + 1)), second.subarray(random(second.length + 1)));
  }
  for (let edits = 1 + random(4); edits > 0 && file.length > 0; edits--) file = edit(file, random);
  return file;
}

const LOUD_BYTES = [0x00, 0x01, 0x7f, 0x80, 0xff];

/** Most edits keep the length, so that what lies behind them is still where it was. */
function edit(file: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const at = random(file.length);
  const run = 1 + random(Math.min(64, file.length - at));
  switch (random(14)) {
    case 0:
    case 1:
      file[at]! ^= 1 << random(8);
      return file;
    case 2:
    case 3:
      file[at] = LOUD_BYTES[random(LOUD_BYTES.length)]!;
      return file;
    case 4:
      file[at] = random(256);
      return file;
    case 5:
      return editDigit(file, at, random);
    case 6:
    case 7:
    case 8:
    case 9:
      return editInteger(file, random);
    case 10:
      file.copyWithin(random(file.length), at, at + run);
      return file;
    case 11:
      return file.slice(0, at);
    case 12:
      return joined(file.subarray(0, at), file.subarray(at + run));
    default: {
      const from = random(file.length);
      return joined(file.subarray(0, at), file.subarray(from, from + run), file.subarray(at));
    }
  }
}

/** The next decimal digit from `at` on becomes another: texts count in digits. */
function editDigit(file: Uint8Array<ArrayBuffer>, at: number, random: Random): Uint8Array<ArrayBuffer> {
  const digit = file.findIndex((byte, index) => index >= at && byte >= 0x30 && byte <= 0x39);
  if (digit >= 0) file[digit] = 0x30 + random(10);
  return file;
}

/** Sets an integer of 16, 32 or 64 bits, if possible one that may be a length or an offset. */
function editInteger(file: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const bytes = [2, 4, 8][random(3)]!;
  if (file.length < bytes) return file;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const littleEndian = random(3) > 0;
  let at = 0;
  let found = 0;
  for (let tries = 0; tries < 16; tries++) {
    at = random(file.length - bytes + 1);
    found =
      bytes === 2 || at + 4 > file.length
        ? view.getUint16(at, littleEndian)
        : view.getUint32(at, littleEndian);
    if (found > 0 && found <= file.length) break;
  }
  const value = interestingInteger(found, file.length, random);
  if (bytes === 2) view.setUint16(at, Number(BigInt.asUintN(16, value)), littleEndian);
  else if (bytes === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), littleEndian);
  else view.setBigUint64(at, BigInt.asUintN(64, value), littleEndian);
  return file;
}

/** Near what was found, near the file's length, or at the end of a range of integers. */
function interestingInteger(found: number, fileBytes: number, random: Random): bigint {
  const near = BigInt(random(9) - 4);
  switch (random(4)) {
    case 0:
      return BigInt(found) + near;
    case 1:
      return BigInt(found) * BigInt(1 + random(4));
    case 2:
      return BigInt(fileBytes) + near;
    default:
      return (1n << BigInt([0, 7, 8, 15, 16, 31, 32, 52, 53, 63, 64][random(11)]!)) + near;
  }
}

function joined(...pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const file = new Uint8Array(pieces.reduce((bytes, piece) => bytes + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    file.set(piece, at);
    at += piece.length;
  }
  return file;
}
