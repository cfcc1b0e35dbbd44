/** Where the classes of a block begin. */
import { CLASSES } from "./format.ts";

/**
 * The first of the 16 classes, in octaves of a group's level above an element's exponent: that of the window into which most of a sample
 * falls.
 *
 * @param sample counters from -256 octaves on.
 * @param lowest where it may start: below, elements differ so rarely that they are all alike.
 */
export function firstClass(sample: Uint32Array, lowest: number): number {
  let inside = 0;
  for (let k = 0; k < CLASSES; k++) inside += sample[lowest + 256 + k]!;
  let best = lowest;
  let most = inside;
  for (let first = lowest + 1; first + 255 + CLASSES < sample.length; first++) {
    inside += sample[first + 255 + CLASSES]! - sample[first + 255]!;
    if (inside > most) {
      most = inside;
      best = first;
    }
  }
  return best;
}
