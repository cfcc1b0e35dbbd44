/**
 * The WebAssembly modules of this thread: compiled once, then called synchronously. Every thread has its own instances and
 * so its own scratch memory; calls do not nest, so one instance of a module is enough for all callers of a thread.
 */
import { loadBytes } from "#load";

/**
 * Seed of the gear table of content-defined cutting: the ASCII bytes "TCGEAR01" read as a big-endian number. `gear.ts` says what
 * depends on it.
 */
export const GEAR_SEED: bigint = 0x5443474541523031n;

/** What `assembly/planes.ts` exports. */
export interface PlanesModule {
  readonly memory: WebAssembly.Memory;
  readonly BLOCK: WebAssembly.Global;
  readonly WORDS: WebAssembly.Global;
  readonly PLANES: WebAssembly.Global;
  split2(count: number, rotate: number): void;
  split4(count: number, rotate: number): void;
  split8(count: number, rotate: number): void;
  join2(count: number, rotate: number): void;
  join4(count: number, rotate: number): void;
  join8(count: number, rotate: number): void;
}

/** What `assembly/gear.ts` exports. */
export interface GearModule {
  readonly memory: WebAssembly.Memory;
  readonly BLOCK: WebAssembly.Global;
  readonly TABLE: WebAssembly.Global;
  readonly CUTS: WebAssembly.Global;
  readonly INPUT: WebAssembly.Global;
  readonly openBytes: WebAssembly.Global;
  readonly openHash: WebAssembly.Global;
  prepare(seed: bigint): void;
  cut(
    length: number,
    open: number,
    hash: bigint,
    minimum: number,
    average: number,
    maximum: number,
    hard: bigint,
    easy: bigint,
  ): number;
}

/** What `assembly/convert.ts` exports. */
export interface ConvertModule {
  readonly memory: WebAssembly.Memory;
  readonly BLOCK: WebAssembly.Global;
  readonly WIDE: WebAssembly.Global;
  readonly NARROW: WebAssembly.Global;
  readonly minimum: WebAssembly.Global;
  readonly maximum: WebAssembly.Global;
  prepare(): void;
  float32ToFloat16(count: number): void;
  float32ToBfloat16(count: number): void;
  float16ToFloat32(count: number): void;
  bfloat16ToFloat32(count: number): void;
  range(count: number): number;
}

/** What `assembly/quantize.ts` exports. */
export interface QuantizeModule {
  readonly memory: WebAssembly.Memory;
  readonly BLOCK: WebAssembly.Global;
  readonly SOURCE: WebAssembly.Global;
  readonly DECODED: WebAssembly.Global;
  readonly SCALES: WebAssembly.Global;
  readonly CODES: WebAssembly.Global;
  readonly RUNS: WebAssembly.Global;
  readonly RUN_SCALES: WebAssembly.Global;
  readonly RUN_MINIMA: WebAssembly.Global;
  readonly INTEGERS: WebAssembly.Global;
  readonly largestError: WebAssembly.Global;
  readonly noise: WebAssembly.Global;
  readonly signal: WebAssembly.Global;
  readonly energy: WebAssembly.Global;
  readonly product: WebAssembly.Global;
  errorSums(count: number): void;
  toInt8(count: number, scale: number, zero: number, least: number): void;
  fromInt8(count: number, scale: number, zero: number): void;
  toSmallFloat(
    count: number,
    mantissaBits: number,
    leastExponent: number,
    largest: number,
    sign: number,
  ): void;
  toQ8_0(count: number): void;
  fromQ8_0(count: number): void;
  toQ4_0(count: number): void;
  fromQ4_0(count: number): void;
  fitRuns(): void;
  fitRunsWithMinima(): void;
}

/** What `assembly/entropy.ts` exports. Arguments are addresses of its memory, counts of elements and symbols. */
export interface EntropyModule {
  readonly memory: WebAssembly.Memory;
  readonly BLOCK: WebAssembly.Global;
  readonly BLOCK_BYTES: WebAssembly.Global;
  readonly COUNTS: WebAssembly.Global;
  readonly ESCAPES: WebAssembly.Global;
  readonly FREQUENCIES: WebAssembly.Global;
  readonly OVERRUN: WebAssembly.Global;
  readonly PLANES: WebAssembly.Global;
  readonly PLANE_STEP: WebAssembly.Global;
  readonly REST: WebAssembly.Global;
  readonly RUNGS: WebAssembly.Global;
  readonly STATES: WebAssembly.Global;
  readonly WORDS: WebAssembly.Global;
  prepare(): void;
  split(width: number, count: number): void;
  join(width: number, count: number): void;
  splitHalves(halves: number, count: number): void;
  joinHalves(halves: number, count: number): void;
  exchange(upper: number, lower: number, count: number): void;
  isConstant(plane: number, count: number): number;
  sampleFloats2(words: number, count: number, step: number): void;
  sampleFloats4(words: number, count: number, step: number): void;
  sampleHalves(halves: number, stride: number, count: number, step: number): void;
  samplePlane(plane: number, count: number, step: number): void;
  splitJoint2(words: number, count: number, base: number, symbols: number, rests: number): number;
  splitJoint4(
    words: number,
    count: number,
    base: number,
    symbols: number,
    rests: number,
    halves: number,
  ): number;
  joinJoint2(words: number, count: number, base: number, symbols: number, rests: number): void;
  joinJoint4(
    words: number,
    count: number,
    base: number,
    symbols: number,
    rests: number,
    halves: number,
  ): void;
  splitHalf(words: number, count: number, symbols: number, lower: number, rests: number): void;
  joinHalf(words: number, count: number, symbols: number, lower: number, rests: number): void;
  buildEncode(escapeSymbol: number): void;
  buildDecode(): void;
  collectEscapes(plane: number, count: number, list: number): number;
  collectOutside(plane: number, count: number, first: number, last: number, list: number): number;
  patchEscapes(plane: number, count: number, escapeSymbol: number, list: number): number;
  ransEncode(plane: number, count: number): number;
  ransDecode(words: number, plane: number, count: number): number;
  downOne(plane: number, count: number, codes: number, escapes: number, symbol: number): number;
  upOne(codes: number, count: number, escapes: number, plane: number, symbol: number): number;
  downThree1(
    plane: number,
    count: number,
    codes: number,
    escapes: number,
    first: number,
    second: number,
    third: number,
  ): number;
  downThree2(
    words: number,
    count: number,
    lower: number,
    codes: number,
    escapes: number,
    first: number,
    second: number,
    third: number,
  ): number;
  downThree4(
    words: number,
    count: number,
    lower: number,
    halves: number,
    codes: number,
    escapes: number,
    first: number,
    second: number,
    third: number,
  ): number;
  upThree1(
    codes: number,
    count: number,
    escapes: number,
    plane: number,
    first: number,
    second: number,
    third: number,
  ): number;
  upThree2(
    codes: number,
    count: number,
    escapes: number,
    words: number,
    lower: number,
    first: number,
    second: number,
    third: number,
  ): number;
  upThree4(
    codes: number,
    count: number,
    escapes: number,
    words: number,
    lower: number,
    halves: number,
    first: number,
    second: number,
    third: number,
  ): number;
}

/** What `assembly/sibling.ts` exports. Arguments are counts of elements and groups, precisions, and addresses of its memory. */
export interface SiblingModule {
  readonly memory: WebAssembly.Memory;
  readonly BLOCK: WebAssembly.Global;
  readonly BLOCK_BYTES: WebAssembly.Global;
  readonly HEADER: WebAssembly.Global;
  readonly LEVELS: WebAssembly.Global;
  readonly OVERRUN: WebAssembly.Global;
  readonly SAMPLE: WebAssembly.Global;
  readonly SIBLING: WebAssembly.Global;
  readonly STATES: WebAssembly.Global;
  readonly WORDS: WebAssembly.Global;
  readonly symbolBits: WebAssembly.Global;
  readonly rawBits: WebAssembly.Global;
  prepare(): void;
  levels2(count: number, shift: number): void;
  levels4(count: number): void;
  sampleLevels(count: number, width: number, mantissaBits: number): void;
  symbols2(precision: number, count: number, mantissaBits: number): number;
  symbols4(count: number): number;
  countCodes(coded: number): void;
  writeHeader(precision: number, groups: number): number;
  buildEncode(): void;
  encode(coded: number): number;
  packBits2(): number;
  packBits4(coded: number): number;
  readHeader(precision: number, groups: number, from: number, limit: number): number;
  tables2(count: number, mantissaBits: number): number;
  tables4(count: number): number;
  decode(words: number, coded: number): number;
  words2(precision: number, count: number, bits: number): number;
  words4(count: number, bits: number): number;
}

/** All modules of a thread. */
export interface Modules {
  readonly planes: PlanesModule;
  readonly gear: GearModule;
  readonly convert: ConvertModule;
  readonly quantize: QuantizeModule;
  readonly entropy: EntropyModule;
  readonly sibling: SiblingModule;
}

let loaded: Modules | undefined;
let loading: Promise<void> | undefined;

/**
 * Loads the WebAssembly modules of this thread. Await it once before any other call of this package; further calls return at
 * once. A failed load (no network, no SIMD) rejects and is tried again by the next call.
 */
export function kernelsReady(): Promise<void> {
  loading ??= load().catch((cause: unknown) => {
    loading = undefined;
    throw new Error("Tensorcask's WebAssembly kernels could not be loaded; they need WebAssembly SIMD", {
      cause,
    });
  });
  return loading;
}

/** The modules of this thread; throws before `kernelsReady` has resolved. */
export function modules(): Modules {
  if (loaded === undefined) throw new Error("await kernelsReady() before using the kernels");
  return loaded;
}

// Bundlers find files by the literal `new URL("...", import.meta.url)`: keep them literal.
async function load(): Promise<void> {
  const [planes, gear, convert, quantize, entropy, sibling] = await Promise.all([
    instance<PlanesModule>(new URL("../wasm/planes.wasm", import.meta.url)),
    instance<GearModule>(new URL("../wasm/gear.wasm", import.meta.url)),
    instance<ConvertModule>(new URL("../wasm/convert.wasm", import.meta.url)),
    instance<QuantizeModule>(new URL("../wasm/quantize.wasm", import.meta.url)),
    fastest<EntropyModule>(
      new URL("../wasm/entropy-relaxed.wasm", import.meta.url),
      new URL("../wasm/entropy.wasm", import.meta.url),
    ),
    fastest<SiblingModule>(
      new URL("../wasm/sibling-relaxed.wasm", import.meta.url),
      new URL("../wasm/sibling.wasm", import.meta.url),
    ),
  ]);
  gear.prepare(GEAR_SEED);
  convert.prepare();
  entropy.prepare();
  sibling.prepare();
  loaded = { planes, gear, convert, quantize, entropy, sibling };
}

/** The faster build where the platform has relaxed SIMD, which it tells by taking the module or not. Both give the same bytes. */
async function fastest<Exports>(relaxed: URL, plain: URL): Promise<Exports> {
  try {
    return await instance<Exports>(relaxed);
  } catch (error) {
    if (!(error instanceof WebAssembly.CompileError)) throw error;
    return await instance<Exports>(plain);
  }
}

async function instance<Exports>(url: URL): Promise<Exports> {
  const { instance } = await WebAssembly.instantiate(await loadBytes(url), {});
  return instance.exports as unknown as Exports;
}
