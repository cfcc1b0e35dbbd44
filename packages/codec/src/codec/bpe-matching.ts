/**
 * Long inputs in tokens that were learnt from a sample: the longest token that matches at each place, found by a
 * walk down a tree of the tokens' symbols. One pass, where merging round by round would take one per round.
 *
 *     node n < values:  the symbol n       node n >= values:  a child, found by (parent, symbol) in a hash table
 */
import { MAX_ALPHABET } from "./bpe-alphabet.ts";
import type { Round } from "./bpe-training.ts";

/** Most nodes: their numbers and those of symbols share the 32 bits of a key. Later tokens are left out. */
const MAX_NODES = 2 ** 32 / MAX_ALPHABET;

interface Tree {
  readonly keys: Uint32Array;
  /** Node of each slot; 0 for free ones, which no child has. */
  readonly children: Int32Array;
  /** The token that ends at a node, or -1. */
  readonly tokens: Int32Array;
}

/** `symbols` of an alphabet of `values` in the tokens of the alphabet and of `rounds`. */
export function matchTokens(symbols: Uint16Array, values: number, rounds: readonly Round[]): Uint16Array {
  const { keys, children, tokens } = treeOf(values, rounds);
  const mask = keys.length - 1;
  const output = new Uint16Array(symbols.length);
  let to = 0;
  for (let at = 0; at < symbols.length; ) {
    let node = symbols[at++]!;
    let token = node;
    for (let next = at; next < symbols.length; ) {
      const key = node * MAX_ALPHABET + symbols[next++]!;
      let slot = slotOf(key) & mask;
      while (children[slot] !== 0 && keys[slot] !== key) slot = (slot + 1) & mask;
      node = children[slot]!;
      if (node === 0) break;
      if (tokens[node]! >= 0) {
        token = tokens[node]!;
        at = next;
      }
    }
    output[to++] = token;
  }
  return output.subarray(0, to);
}

function treeOf(values: number, rounds: readonly Round[]): Tree {
  const pairs = rounds.reduce((sum, { lefts }) => sum + lefts.length, 0);
  // A pair adds the symbols of its right half at most; few add more than four.
  const limit = Math.min(MAX_NODES, values + 4 * pairs + 1024);
  const slots = 2 ** Math.ceil(Math.log2(2 * limit));
  const keys = new Uint32Array(slots);
  const children = new Int32Array(slots);
  const tokens = new Int32Array(limit).fill(-1);
  // Node 0 is the first symbol, and never a child, so it may stand for none.
  const ends = new Int32Array(values + pairs);
  for (let value = 0; value < values; value++) ends[value] = value;
  const rightOf = new Uint16Array(values + pairs);
  const leftOf = new Uint16Array(values + pairs);
  let nodes = values;
  let token = values;
  const pending: number[] = [];
  for (const { lefts, rights } of rounds) {
    for (let pair = 0; pair < lefts.length; pair++, token++) {
      leftOf[token] = lefts[pair]!;
      rightOf[token] = rights[pair]!;
      let node = ends[lefts[pair]!]!;
      pending.push(rights[pair]!);
      for (let part = pending.pop(); part !== undefined && node >= 0; part = pending.pop()) {
        while (part >= values) {
          pending.push(rightOf[part]!);
          part = leftOf[part]!;
        }
        const key = node * MAX_ALPHABET + part;
        let slot = slotOf(key) & (slots - 1);
        while (children[slot] !== 0 && keys[slot] !== key) slot = (slot + 1) & (slots - 1);
        if (children[slot] === 0 && nodes < limit) {
          keys[slot] = key;
          children[slot] = nodes++;
        }
        node = children[slot] === 0 ? -1 : children[slot]!;
      }
      pending.length = 0;
      ends[token] = node;
      if (node >= 0) tokens[node] = token;
    }
  }
  return { keys, children, tokens };
}

function slotOf(key: number): number {
  const mixed = Math.imul(key ^ (key >>> 15), 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}
