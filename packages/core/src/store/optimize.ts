/**
 * Chooses siblings anew over the whole store. An import finds what was there before it; with all of a family there, another centre may be
 * better, and a base whose dataset was deleted need not be kept for its differences only.
 *
 *   families of tensors (tensor-families.ts) -> one star of chunks for each chunk index (stars.ts)
 *     -> one star of each family is coded around each candidate (star-coder.ts): the best one is the centre of all stars
 *     -> every star that gets smaller by it goes to a pack of its own, without the lock
 *     -> an entry moves its chunks there, under the lock, all of a star or none (star-check.ts)
 *
 * So each commit leaves a whole store, whatever happens behind it; readers find frames at their old places until gc. Families whose stars
 * would not fit the memory that is meant for one are taken in parts.
 */
import { setImmediate } from "node:timers/promises";
import { byteLength, CancelledError, NotFoundError } from "@tensorcask/codec";
import type { Slot } from "../workers/slot.ts";
import { chooseCentre } from "./centre-choice.ts";
import type { StoreContext } from "./context.ts";
import { SPARED_MS } from "./gc.ts";
import { GoneError } from "./gone.ts";
import { FamilyTally, type StarGain, sumOf } from "./optimize-tally.ts";
import type { OptimizeOptions, OptimizeResult } from "./optimize-types.ts";
import { RecodedPacks } from "./recoded-packs.ts";
import { type CodedStar, codeStar } from "./star-coder.ts";
import { FamilyStars, type Star } from "./stars.ts";
import { type Families, type FamilyTensor, findFamilies } from "./tensor-families.ts";

/** Bytes of the chunks, before coding, of the stars that are worked on at once: their frames wait in memory until all of a star are known. */
const STAR_BYTES = 32 * 1024 * 1024;

/** A star stays as it is when less than this part of it would be gained: moving it leaves old frames behind until gc. */
const LEAST_GAIN = 1 / 2048;

/** New frames are committed each time so many bytes of them are there, so that what is cut short was not for nothing. */
const COMMIT_BYTES = 256 * 1024 * 1024;

/**
 * Chooses siblings anew where that is smaller. Throws `NotFoundError` for an unknown dataset, `DamageError` for a chunk that cannot be read,
 * `CancelledError`; what was committed until then stays.
 */
export async function optimize(
  context: StoreContext,
  options: OptimizeOptions = {},
): Promise<OptimizeResult> {
  context.checkWritable();
  const started = performance.now();
  const { dataset, dryRun = false } = options;
  const only = dataset === undefined ? undefined : context.catalog.dataset(dataset);
  if (dataset !== undefined && only === undefined) throw new NotFoundError("dataset", dataset);
  const pause = async (): Promise<void> => {
    check(options.signal);
    await setImmediate();
  };
  const families = await findFamilies(context, { only, stagedMs: SPARED_MS, pause });
  const optimizer = new Optimizer(context, families, options);
  try {
    const found = (await optimizer.run()).results();
    return { dryRun, families: found, ...sumOf(found), seconds: (performance.now() - started) / 1000 };
  } catch (error) {
    await optimizer.abandon();
    throw error;
  }
}

class Optimizer {
  readonly #context: StoreContext;
  readonly #families: Families;
  readonly #options: OptimizeOptions;
  readonly #packs: RecodedPacks;
  readonly #tally = new FamilyTally();
  #doneBytes = 0;

  constructor(context: StoreContext, families: Families, options: OptimizeOptions) {
    this.#context = context;
    this.#families = families;
    this.#options = options;
    this.#packs = new RecodedPacks(context);
  }

  /** Works on several families at once, each in a slot of its own, as far as the memory for stars goes. */
  async run(): Promise<FamilyTally> {
    const { slots, parallelism } = this.#context.pool;
    const most = Math.max(1, Math.min(parallelism, slots.limit - 1));
    const running = new Set<Promise<void>>();
    let bytes = 0;
    let failure: unknown;
    try {
      for (const { tensors, starBytes } of this.#parts()) {
        const isFull = (): boolean =>
          running.size >= most || (running.size > 0 && bytes + starBytes > STAR_BYTES);
        while (isFull()) await Promise.race(running);
        if (failure !== undefined) break;
        bytes += starBytes;
        const one = this.#part(tensors)
          .catch((error: unknown) => {
            failure ??= error;
          })
          .finally(() => {
            running.delete(one);
            bytes -= starBytes;
          });
        running.add(one);
        if (this.#packs.sealedBytes >= COMMIT_BYTES) await this.#packs.commit(this.#options.signal);
      }
    } finally {
      // Also when it is cancelled: nothing may go on writing behind the caller's back.
      while (running.size > 0) await Promise.all(running);
    }
    if (failure !== undefined) throw failure;
    await this.#packs.seal();
    await this.#packs.commit(this.#options.signal);
    return this.#tally;
  }

  /** Gives up: what is not committed goes. */
  abandon(): Promise<void> {
    return this.#packs.abandon();
  }

  /** Families, or parts of them. */
  *#parts(): Generator<FamilyPart> {
    for (const members of this.#families.members)
      yield* parts(this.#families.tensors(members), this.#context.chunkElements);
  }

  async #part(tensors: readonly FamilyTensor[]): Promise<void> {
    const { pool } = this.#context;
    const slot = await pool.slots.acquire();
    try {
      await this.#optimize(slot, tensors);
    } finally {
      pool.slots.release(slot);
    }
    this.#doneBytes += tensors.reduce((sum, { dtype, shape }) => sum + byteLength(dtype, shape), 0);
    const { bytes } = this.#families;
    this.#options.onProgress?.({ phase: "optimize", done: Math.min(this.#doneBytes, bytes), total: bytes });
  }

  async #optimize(slot: Slot, tensors: readonly FamilyTensor[]): Promise<void> {
    const stars = new FamilyStars(this.#context.catalog, this.#families, tensors);
    const tally = this.#tally.family(tensors);
    const typical = stars.typical;
    const sample = stars.star(typical);
    const best =
      sample &&
      (await chooseCentre(sample, tensors, (centre) =>
        this.#code(slot, sample, stars.centreOf(sample, typical, centre)),
      ));
    for (let index = 0; index < stars.count; index++) {
      const star = index === typical ? sample : stars.star(index);
      if (star === undefined) continue;
      tally.found(star.bytes);
      if (best === undefined || !isWorth(sample!, best.coded)) continue;
      const centre = stars.centreOf(star, index, best.centre);
      const coded = index === typical ? best.coded : await this.#code(slot, star, centre);
      if (coded !== undefined && isWorth(star, coded)) await this.#keep(coded, tally.gain(star, coded));
    }
  }

  async #code(slot: Slot, star: Star, centre: number | undefined): Promise<CodedStar | undefined> {
    check(this.#options.signal);
    if (centre === undefined) return undefined;
    try {
      return await codeStar(this.#context, slot, star, centre);
    } catch (error) {
      // Collected meanwhile: then the star is not what it was.
      if (error instanceof GoneError) return undefined;
      throw error;
    }
  }

  async #keep({ frames, centre }: CodedStar, gain: StarGain): Promise<void> {
    const { committed } = gain;
    if (this.#options.dryRun === true) {
      committed();
      return;
    }
    const group = frames.map(({ row, facts }) => ({ row, facts }));
    await this.#packs.write(frames, { frames: group, centre: centre.row.id, committed });
  }
}

function check(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CancelledError("the optimization", { cause: signal.reason });
}

function isWorth({ bytes }: Star, coded: CodedStar): boolean {
  return bytes - coded.bytes > LEAST_GAIN * bytes;
}

/** Tensors that are optimized together, and the bytes of the chunks of one of their stars. */
interface FamilyPart {
  readonly tensors: readonly FamilyTensor[];
  readonly starBytes: number;
}

/** Splits a family so that the chunks of one star fit the memory for them. */
function* parts(family: readonly FamilyTensor[], chunkElements: number): Generator<FamilyPart> {
  let tensors: FamilyTensor[] = [];
  let starBytes = 0;
  for (const tensor of family) {
    const { dtype, shape } = tensor;
    const chunk = Math.min(byteLength(dtype, shape), Math.ceil((chunkElements * dtype.bits) / 8));
    if (tensors.length > 0 && starBytes + chunk > STAR_BYTES) {
      yield { tensors, starBytes };
      tensors = [];
      starBytes = 0;
    }
    tensors.push(tensor);
    starBytes += chunk;
  }
  if (tensors.length > 0) yield { tensors, starBytes };
}
