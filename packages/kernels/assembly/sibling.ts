// Coding of a block of floats against the block of a sibling (an earlier checkpoint, the base of a fine-tune): see sibling-memory.ts for
// the memory and its limits, the host's format for what is written.
import { endOfBits, startBits } from "./bits";
import { HEADER } from "./sibling-memory";
import { prepareStates } from "./rans-states";
import { prepareElements } from "./sibling-elements";
import { readLevels, writeLevels } from "./sibling-levels";
import { prepareTables, readTables, writeTables } from "./sibling-tables";

export {
  BLOCK, BLOCK_BYTES, HEADER, LEVELS, OVERRUN, SAMPLE, SIBLING, STATES, WORDS,
} from "./sibling-memory";
export { levels2, levels4, sampleLevels } from "./sibling-levels";
export { buildEncode, countCodes, decode, encode } from "./sibling-rans";
export { packBits2, packBits4, symbols2, symbols4 } from "./sibling-symbols";
export { rawBits, symbolBits } from "./sibling-tables";
export { tables2, tables4, words2, words4 } from "./sibling-words";

export function prepare(): void {
  prepareStates();
  prepareElements();
  prepareTables();
}

// Writes levels and tables to HEADER; returns how many bytes they take.
export function writeHeader(precision: u32, groups: usize): usize {
  startBits(HEADER);
  writeLevels(groups);
  writeTables(precision);
  return endOfBits() - HEADER;
}

// Reads them from the bytes between `from` and `limit`; returns the position behind them, 0 when they are damaged.
export function readHeader(precision: u32, groups: usize, from: usize, limit: usize): usize {
  startBits(from);
  if (!readLevels(groups) || !readTables(precision) || endOfBits() > limit) return 0;
  return endOfBits();
}
