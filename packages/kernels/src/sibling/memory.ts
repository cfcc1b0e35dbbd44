/** Views of the sibling module's memory (drawn in assembly/sibling-memory.ts). It never grows, so they stay valid. */
import { modules, type SiblingModule } from "../modules.ts";

/** The sibling module of this thread: its functions, addresses and views of its regions. */
export interface Memory {
  readonly kernels: SiblingModule;
  /** All of the memory. */
  readonly bytes: Uint8Array;
  /** Elements of the sibling and of the block. */
  readonly sibling: number;
  readonly words: number;
  readonly states: number;
  /** Where a block to decode is put, and how long it may be; where raw bits are packed. */
  readonly block: number;
  readonly blockBytes: number;
  /** Where the words of an encoded block end. */
  readonly codedEnd: number;
  /** A level for each group of elements. */
  readonly levels: Int16Array;
  /** Counters of a sample of levels above exponents, from -256 on. */
  readonly sample: Uint32Array;
  /** Levels and tables as they are written. */
  readonly header: number;
  /** The 32 states. */
  readonly stateWords: Uint32Array;
}

let memory: Memory | undefined;

/** The memory of this thread's sibling module; throws before `kernelsReady` has resolved. */
export function siblingMemory(): Memory {
  memory ??= viewsOf(modules().sibling);
  return memory;
}

/** Views of a sibling module that has been prepared. */
export function viewsOf(kernels: SiblingModule): Memory {
  const { buffer } = kernels.memory;
  const block: number = kernels.BLOCK.value;
  const blockBytes: number = kernels.BLOCK_BYTES.value;
  return {
    kernels,
    bytes: new Uint8Array(buffer),
    sibling: kernels.SIBLING.value,
    words: kernels.WORDS.value,
    states: kernels.STATES.value,
    block,
    blockBytes,
    codedEnd: block + blockBytes + kernels.OVERRUN.value,
    levels: new Int16Array(buffer, kernels.LEVELS.value, 512),
    sample: new Uint32Array(buffer, kernels.SAMPLE.value, 512),
    header: kernels.HEADER.value,
    stateWords: new Uint32Array(buffer, kernels.STATES.value, 32),
  };
}
