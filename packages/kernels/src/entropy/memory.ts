/** Views of the entropy module's memory (drawn in assembly/entropy-memory.ts). It never grows, so they stay valid. */
import { type EntropyModule, modules } from "../modules.ts";

/** The entropy module of this thread: its functions, addresses and views of its regions. */
export interface Memory {
  readonly kernels: EntropyModule;
  /** All of the memory. */
  readonly bytes: Uint8Array;
  /** Elements of a block. */
  readonly words: number;
  /** Byte planes: plane k at planes + k * planeStep. */
  readonly planes: number;
  readonly planeStep: number;
  /** Parts that are stored as they are. */
  readonly rest: number;
  readonly escapes: number;
  /** Two buffers of the ladder, planeStep apart. */
  readonly rungs: number;
  readonly states: number;
  /** Where a block to decode is put, and how long it may be. */
  readonly block: number;
  readonly blockBytes: number;
  /** Where the words of an encoded stream end. */
  readonly codedEnd: number;
  /** 256 frequencies of the symbols of a stream. */
  readonly frequencies: Uint16Array;
  /** Counts of a sampled plane, or of the lower bytes of halves. */
  readonly counts: Uint32Array;
  /** Counts of the upper bytes of halves. */
  readonly upperCounts: Uint32Array;
  /** Counts of exponents and top mantissa bits, and of what lies below. */
  readonly exponentCounts: Uint32Array;
  readonly mantissaCounts: Uint32Array;
  /** The 32 states. */
  readonly stateWords: Uint32Array;
}

let memory: Memory | undefined;

/** The memory of this thread's entropy module; throws before `kernelsReady` has resolved. */
export function entropyMemory(): Memory {
  memory ??= viewsOf(modules().entropy);
  return memory;
}

/** Views of an entropy module that has been prepared. */
export function viewsOf(kernels: EntropyModule): Memory {
  const { buffer } = kernels.memory;
  const counts: number = kernels.COUNTS.value;
  const block: number = kernels.BLOCK.value;
  return {
    kernels,
    bytes: new Uint8Array(buffer),
    words: kernels.WORDS.value,
    planes: kernels.PLANES.value,
    planeStep: kernels.PLANE_STEP.value,
    rest: kernels.REST.value,
    escapes: kernels.ESCAPES.value,
    rungs: kernels.RUNGS.value,
    states: kernels.STATES.value,
    block,
    blockBytes: kernels.BLOCK_BYTES.value,
    codedEnd: block + kernels.OVERRUN.value,
    frequencies: new Uint16Array(buffer, kernels.FREQUENCIES.value, 256),
    counts: new Uint32Array(buffer, counts, 256),
    upperCounts: new Uint32Array(buffer, counts + 1024, 256),
    exponentCounts: new Uint32Array(buffer, counts, 1024),
    mantissaCounts: new Uint32Array(buffer, counts + 8192, 256),
    stateWords: new Uint32Array(buffer, kernels.STATES.value, 32),
  };
}
