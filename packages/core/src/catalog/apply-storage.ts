/**
 * Applying operations about packs, chunks and tensors.
 */
import type { FramesOp } from "../model/entry.ts";
import { countOfRuns, idsOf } from "../model/runs.ts";
import type { ApplyContext, OpOf } from "./apply-context.ts";
import { bindable, Chunks } from "./chunks.ts";
import { insertFeatures } from "./features.ts";
import { noteSibling } from "./siblings.ts";
import { dropSketches } from "./sketches.ts";
import { damaged } from "./sqlite.ts";
import { insertTensor } from "./tensors.ts";

export function addPack({ sqlite, counters }: ApplyContext, op: OpOf<"pack.add">): void {
  sqlite.run(
    "INSERT INTO pack (pack, name, tail, committed) VALUES (?, ?, ?, 0)",
    op.pack,
    op.name,
    op.tail ? 1 : 0,
  );
  counters.pack = Math.max(counters.pack, op.pack + 1);
}

export function addFrames(context: ApplyContext, op: FramesOp): void {
  const { sqlite, counters } = context;
  const count = countOfRuns(op.chunks);
  const facts = count === 0 ? [] : context.frames(op);
  if (facts.length !== count) {
    throw damaged(
      `pack ${op.pack} holds ${facts.length} frames from ${op.offset}, entry ${context.sequence} names ${count}`,
    );
  }
  const chunks = new Chunks(sqlite);
  const end = op.offset + op.bytes;
  let at = op.offset;
  let index = 0;
  let first = Number.MAX_SAFE_INTEGER;
  let last = 0;
  const next = counters.chunk;
  for (const id of idsOf(op.chunks)) {
    const frame = facts[index]!;
    index += 1;
    if (frame.offset !== at) {
      throw damaged(
        `pack ${op.pack} has a frame at ${frame.offset}, entry ${context.sequence} expects it at ${at}`,
      );
    }
    at += frame.frameBytes;
    const chain = chainId(context, frame.chain);
    if (id < next && chunks.has(id, frame.hash)) {
      sqlite.run(
        "UPDATE chunk SET pack = ?, offset = ?, frame_bytes = ?, raw_bytes = ?, chain = ? WHERE chunk = ?",
        op.pack,
        frame.offset,
        frame.frameBytes,
        frame.rawBytes,
        chain,
        id,
      );
      noteSibling(context, id, frame.sibling);
    } else {
      sqlite.run(
        "INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?)",
        id,
        bindable(frame.hash),
        op.pack,
        frame.offset,
        frame.frameBytes,
        frame.rawBytes,
        chain,
      );
      if (frame.sibling !== undefined) noteSibling(context, id, frame.sibling);
      if (frame.features !== undefined) insertFeatures(sqlite, id, frame.features);
    }
    first = Math.min(first, id);
    last = Math.max(last, id);
  }
  if (at !== end) {
    throw damaged(`frames of pack ${op.pack} end at ${at}, entry ${context.sequence} says ${end}`);
  }
  const known =
    count === 0
      ? sqlite.run("UPDATE pack SET committed = max(committed, ?) WHERE pack = ?", end, op.pack)
      : sqlite.run(
          `UPDATE pack SET committed = max(committed, ?), chunk_first = min(ifnull(chunk_first, ?), ?),
           chunk_last = max(ifnull(chunk_last, ?), ?) WHERE pack = ?`,
          end,
          first,
          first,
          last,
          last,
          op.pack,
        );
  if (known === 0) {
    throw damaged(`entry ${context.sequence} has frames in pack ${op.pack}, which is not there`);
  }
  counters.chunk = Math.max(counters.chunk, last + 1);
  if (op.staged === true) {
    for (let run = 0; run + 1 < op.chunks.length; run += 2) {
      sqlite.run(
        "INSERT OR REPLACE INTO staged VALUES (?, ?, ?)",
        op.chunks[run]!,
        op.chunks[run + 1]!,
        op.timeMs ?? context.timeMs,
      );
    }
  }
}

function chainId({ sqlite, chains }: ApplyContext, codes: readonly number[]): number {
  const text = JSON.stringify(codes);
  let chain = chains.get(text);
  if (chain === undefined) {
    chain =
      sqlite.value<number>("SELECT chain FROM chain WHERE codes = ?", text) ??
      sqlite.value<number>("INSERT INTO chain (codes) VALUES (?) RETURNING chain", text)!;
    chains.set(text, chain);
  }
  return chain;
}

export function addTensors({ sqlite, counters, forms }: ApplyContext, op: OpOf<"tensors.add">): void {
  let id = op.first;
  for (const facts of op.tensors) {
    insertTensor(sqlite, id, facts, forms);
    id += 1;
  }
  counters.tensor = Math.max(counters.tensor, id);
}

export function dropTensors({ sqlite }: ApplyContext, { tensors: runs }: OpOf<"tensors.drop">): void {
  for (let at = 0; at + 1 < runs.length; at += 2) {
    const first = runs[at]!;
    const end = first + runs[at + 1]!;
    sqlite.run("DELETE FROM tensor WHERE tensor >= ? AND tensor < ?", first, end);
    dropSketches(sqlite, first, end);
  }
}
