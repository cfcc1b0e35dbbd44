/** What the tests of siblings share: stored chunks coded anew against others, whatever an import would have chosen. */
import { codecOfCode, decodeFrame, encodeFrame, frameOf, readFrameHeader } from "@tensorcask/codec";
import type { ChunkRow } from "../src/catalog/catalog.ts";
import type { Store, TensorData } from "../src/index.ts";
import type { FrameFacts, FramesOp, Op } from "../src/model/entry.ts";
import type { StoreContext } from "../src/store/context.ts";
import { chunksOf } from "../src/store/footprint.ts";
import { contextOf, randomOf } from "./maintenance-fixture.ts";

const xor = codecOfCode(18)!;

/** `tensor` after a little training: most elements moved a little. */
export function tuned<T extends TensorData & { readonly data: Float32Array }>(
  { dtype, shape, data }: T,
  seed: number,
): TensorData & { readonly data: Float32Array } {
  const random = randomOf(seed);
  const moved = Float32Array.from(data, (value) =>
    random() < 0.1 ? value : value * (1 + (random() - 0.5) / 256),
  );
  return { dtype, shape, data: moved };
}

/** Ids of the chunks of a record's tensor. */
export async function chunkIds(store: Store, dataset: string, name: string): Promise<number[]> {
  const { catalog } = await contextOf(store);
  const { dataset: id, version } = catalog.dataset(dataset)!;
  const [record] = catalog.recordsNamed(id, version, name);
  return [...chunksOf(catalog.tensor(record!.tensor)!)];
}

/** Pairs of chunk and what it may be coded against: nothing is coded against it, and that is itself coded against nothing. */
export function allowed(
  context: StoreContext,
  pairs: readonly (readonly [number, number])[],
): [number, number][] {
  const coded = new Set<number>();
  const bases = new Set<number>();
  for (const { id, sibling } of context.catalog.allChunks()) {
    if (sibling === undefined) continue;
    coded.add(id);
    bases.add(sibling);
  }
  const chosen: [number, number][] = [];
  for (const [chunk, base] of pairs) {
    if (chunk === base || bases.has(chunk) || coded.has(base) || coded.has(chunk)) continue;
    chosen.push([chunk, base]);
    coded.add(chunk);
    bases.add(base);
  }
  return chosen;
}

/**
 * Codes stored chunks against others, in a pack of its own. `by`: "xor" whatever it costs, or as the policy `lossless` would, which may
 * find it better not to.
 */
export async function codeAgainst(
  store: Store,
  pairs: readonly (readonly [chunk: number, base: number])[],
  by: "xor" | "lossless" = "xor",
): Promise<void> {
  const context = await contextOf(store);
  const { catalog, parts } = context;
  const writer = await context.packs.create();
  const facts: FrameFacts[] = [];
  for (const [chunk, base] of pairs) {
    const row = catalog.chunk(chunk)!;
    const bytes = await parts.reader.chunk(chunk);
    const { dtype } = await headerOf(context, row);
    const sibling = await siblingOf(context, catalog.chunk(base)!);
    const { hash } = row;
    const frame =
      by === "lossless"
        ? encodeFrame({ hash, dtype, bytes, policy: { auto: "lossless" }, sibling })
        : frameOf(
            hash,
            dtype,
            bytes.length,
            [{ code: xor.code, inputBytes: bytes.length }],
            xor.encode(bytes, { dtype, sibling }, {}),
            sibling.hash,
          );
    const { frameBytes, rawBytes, chain, sibling: reference } = readFrameHeader(frame, "new frame");
    const { offset } = await writer.append([frame]);
    facts.push({ hash, offset, frameBytes, rawBytes, chain, ...(reference && { sibling: reference }) });
  }
  await writer.seal();
  await parts.committer.exclusive(async (exclusive) => {
    const pack = catalog.counters().pack;
    const { offset } = facts[0]!;
    const frames: FramesOp = {
      op: "frames",
      pack,
      offset,
      bytes: writer.bytes - offset,
      chunks: pairs.flatMap(([chunk]) => [chunk, 1]),
    };
    const ops: Op[] = [{ op: "pack.add", pack, name: writer.name, tail: false }, frames];
    await exclusive.commit(ops, () => facts);
  });
}

/** Codes each chunk of a record against the one of another record that begins at the same element. */
export async function codeRecordAgainst(
  store: Store,
  [dataset, name]: readonly [string, string],
  [baseDataset, baseName]: readonly [string, string],
  by?: "xor" | "lossless",
): Promise<void> {
  const chunks = await chunkIds(store, dataset, name);
  const bases = await chunkIds(store, baseDataset, baseName);
  const pairs = chunks.map((chunk, index): [number, number] => [chunk, bases[index]!]);
  await codeAgainst(store, pairs, by);
}

async function headerOf(context: StoreContext, row: ChunkRow) {
  return readFrameHeader(await context.parts.reader.frame(row), "stored frame");
}

async function siblingOf(context: StoreContext, row: ChunkRow) {
  const frame = await context.parts.reader.frame(row);
  const { dtype, hash } = readFrameHeader(frame, "sibling");
  return { dtype, hash, bytes: decodeFrame(frame, "sibling") };
}
