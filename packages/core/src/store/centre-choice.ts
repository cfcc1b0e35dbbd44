/**
 * Which tensor of a family is the centre of its stars: one star is coded around each candidate, and the shortest result wins. Of large
 * families only some are tried: what the others are coded against now, those whose sketches agree with most others, then, a few times, what is
 * nearest to the best one so far. A base lies nearer to each of its fine-tunes than they lie to each other.
 */
import type { CodedStar } from "./star-coder.ts";
import { type Centre, leftOver, type Star } from "./stars.ts";
import type { FamilyTensor } from "./tensor-families.ts";

/** Of families with more tensors than this only some are tried. */
const ALL_TRIED = 16;
const CONNECTED_TRIED = 4;
const NEAREST_TRIED = 4;

/** A star coded around a candidate; undefined when that cannot be its centre. */
export type TryCentre = (centre: Centre) => Promise<CodedStar | undefined>;

export interface ChosenCentre {
  readonly centre: Centre;
  readonly coded: CodedStar;
}

/** The candidate around which a star is shortest; of equals the first. */
export async function chooseCentre(
  star: Star,
  tensors: readonly FamilyTensor[],
  attempt: TryCentre,
): Promise<ChosenCentre | undefined> {
  let best: ChosenCentre | undefined;
  const tried = new Set<number>();
  const consider = async (centre: Centre): Promise<void> => {
    if ("tensor" in centre) tried.add(centre.tensor);
    const coded = await attempt(centre);
    if (coded !== undefined && (best === undefined || coded.bytes < best.coded.bytes))
      best = { centre, coded };
  };
  for (const centre of candidates(star, tensors)) await consider(centre);
  for (let step = 0; step < NEAREST_TRIED && tried.size < tensors.length; step++) {
    const next = nearest(star, best?.coded.sizes, tried);
    if (next === undefined) break;
    await consider({ tensor: next });
  }
  return best;
}

/** What is tried in any case. */
function candidates(star: Star, tensors: readonly FamilyTensor[]): Centre[] {
  const wanted =
    tensors.length <= ALL_TRIED
      ? tensors
      : [...tensors].sort((a, b) => b.links - a.links || a.id - b.id).slice(0, CONNECTED_TRIED);
  const bases = new Set(star.chunks.map(({ row }) => row.sibling));
  const centres = new Set(wanted.map(({ id }) => id));
  for (const { row, tensor } of star.chunks)
    if (tensor !== undefined && bases.has(row.id)) centres.add(tensor.id);
  const deleted = leftOver(star).slice(0, ALL_TRIED);
  return [...[...centres].map((tensor) => ({ tensor })), ...deleted.map((_, place) => ({ leftOver: place }))];
}

/** The tensor whose chunk takes least beside the centre, of those that were not tried. */
function nearest(
  star: Star,
  sizes: ReadonlyMap<number, number> | undefined,
  tried: ReadonlySet<number>,
): number | undefined {
  let found: { readonly tensor: number; readonly share: number } | undefined;
  for (const { row, tensor } of star.chunks) {
    const bytes = sizes?.get(row.id);
    if (tensor === undefined || bytes === undefined || tried.has(tensor.id)) continue;
    const share = bytes / Math.max(1, row.rawBytes);
    if (found === undefined || share < found.share) found = { tensor: tensor.id, share };
  }
  return found?.tensor;
}
