/** What an optimization gained, by the datasets whose tensors are in one family. */
import type { OptimizedFamily } from "./optimize-types.ts";
import type { CodedStar } from "./star-coder.ts";
import type { Star } from "./stars.ts";
import type { FamilyTensor } from "./tensor-families.ts";

/** A star that was coded anew. */
export interface StarGain {
  committed(): void;
}

type Sums = Pick<OptimizedFamily, "tensors" | "tensorsMoved" | "chunksMoved" | "bytesBefore" | "bytesAfter">;

interface Tally {
  readonly datasets: readonly string[];
  readonly moved: Set<number>;
  /** Stars that changed, by the dataset of their centre. */
  readonly centres: Map<string | null, number>;
  tensors: number;
  chunksMoved: number;
  bytesBefore: number;
  savedBytes: number;
}

export class FamilyTally {
  readonly #tallies = new Map<string, Tally>();

  /** Begins with a family of tensors; gives what takes its stars. */
  family(tensors: readonly FamilyTensor[]): {
    found(bytes: number): void;
    gain(star: Star, coded: CodedStar): StarGain;
  } {
    const datasets = [...new Set(tensors.map(({ dataset }) => dataset))].sort();
    const key = JSON.stringify(datasets);
    const tally: Tally = this.#tallies.get(key) ?? {
      datasets,
      moved: new Set(),
      centres: new Map(),
      tensors: 0,
      chunksMoved: 0,
      bytesBefore: 0,
      savedBytes: 0,
    };
    this.#tallies.set(key, tally);
    tally.tensors += tensors.length;
    return {
      found: (bytes) => {
        tally.bytesBefore += bytes;
      },
      gain: (star, { centre, bytes, frames }) => {
        const ids = new Set(frames.map(({ row }) => row.id));
        const moved = star.chunks.filter(({ row }) => ids.has(row.id)).map(({ tensor }) => tensor!.id);
        const dataset = centre.tensor?.dataset ?? null;
        const savedBytes = star.bytes - bytes;
        return {
          committed: () => {
            for (const tensor of moved) tally.moved.add(tensor);
            tally.centres.set(dataset, (tally.centres.get(dataset) ?? 0) + 1);
            tally.chunksMoved += moved.length;
            tally.savedBytes += savedBytes;
          },
        };
      },
    };
  }

  /** The families, those that gained most first. */
  results(): OptimizedFamily[] {
    return [...this.#tallies.values()]
      .sort((a, b) => b.savedBytes - a.savedBytes)
      .map(({ datasets, centres, moved, tensors, chunksMoved, bytesBefore, savedBytes }) => ({
        datasets,
        centre: [...centres].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null,
        tensors,
        tensorsMoved: moved.size,
        chunksMoved,
        bytesBefore,
        bytesAfter: bytesBefore - savedBytes,
      }));
  }
}

/** Sums over families. */
export function sumOf(families: readonly OptimizedFamily[]): Sums {
  const sums = { tensors: 0, tensorsMoved: 0, chunksMoved: 0, bytesBefore: 0, bytesAfter: 0 };
  for (const family of families) {
    sums.tensors += family.tensors;
    sums.tensorsMoved += family.tensorsMoved;
    sums.chunksMoved += family.chunksMoved;
    sums.bytesBefore += family.bytesBefore;
    sums.bytesAfter += family.bytesAfter;
  }
  return sums;
}
