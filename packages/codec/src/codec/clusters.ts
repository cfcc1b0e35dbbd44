/**
 * Where values lie in clusters: cuts at the widest gaps of a sorted sample, as many as pay. Numbers here are
 * signed 32-bit integers in the order of the values they stand for.
 */

/** Most clusters: an index is one byte. */
const MAX_CLUSTERS = 256;
const SAMPLES = 4096;
/** With so few samples a cluster's span says nothing yet; it then counts as wide. */
const KNOWN_SPAN_SAMPLES = 4;
const UNKNOWN_SPAN_BITS = 16;

/** Cluster i holds the values from `starts[i]` on, below `starts[i + 1]`. */
export interface Clusters {
  readonly starts: Int32Array;
  /** The median of each cluster's samples. */
  readonly centres: Int32Array;
}

/** The clusters with the least estimated cost; a single one where cutting does not pay. */
export function findClusters(values: Int32Array): Clusters {
  const count = Math.min(values.length, SAMPLES);
  const sample = new Int32Array(count);
  for (let index = 0; index < count; index++) {
    sample[index] = values[Math.floor((index * values.length) / count)]!;
  }
  sample.sort();
  const cuts = bestCuts(sample, widestGaps(sample));
  const starts = new Int32Array(cuts.length + 1);
  const centres = new Int32Array(cuts.length + 1);
  for (let index = 0; index <= cuts.length; index++) {
    const first = index === 0 ? 0 : cuts[index - 1]!;
    const last = (cuts[index] ?? count) - 1;
    // In the middle of the gap: values that the sample missed go to the nearer cluster.
    starts[index] = index === 0 ? -0x80000000 : (sample[first - 1]! + sample[first]!) / 2;
    centres[index] = sample[(first + last) >> 1] ?? 0;
  }
  return { starts, centres };
}

/** Values are first looked up by their place in this many equal parts of the range, then stepped on from there. */
const LOOKUP_PARTS = 4096;

/** Index of the cluster of each value. */
export function assignClusters(values: Int32Array, { starts }: Clusters): Uint8Array {
  const indices = new Uint8Array(values.length);
  const clusters = starts.length;
  const least = starts[1] ?? 0;
  const range = Math.max(1, starts[clusters - 1]! - least + 1);
  const first = new Uint8Array(LOOKUP_PARTS);
  for (let part = 0, index = 1; part < LOOKUP_PARTS; part++) {
    const from = least + (part * range) / LOOKUP_PARTS;
    while (index + 1 < clusters && starts[index + 1]! <= from) index++;
    first[part] = index;
  }
  const scale = LOOKUP_PARTS / range;
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (value < least) continue;
    // The part may be one too far by rounding; stepping back costs nothing where it is not.
    let found = first[Math.min(LOOKUP_PARTS - 1, (value - least) * scale) | 0]!;
    while (starts[found]! > value) found--;
    while (found + 1 < clusters && starts[found + 1]! <= value) found++;
    indices[index] = found;
  }
  return indices;
}

/** Places in the sorted sample behind which the widest gaps are, widest first. */
function widestGaps(sample: Int32Array): number[] {
  const places: number[] = [];
  for (let place = 1; place < sample.length; place++) {
    if (sample[place] !== sample[place - 1]) places.push(place);
  }
  const gap = (place: number) => sample[place]! - sample[place - 1]!;
  return places.sort((a, b) => gap(b) - gap(a)).slice(0, MAX_CLUSTERS - 1);
}

/** Cuts at one gap after the other and keeps the number of cuts that costs least. */
function bestCuts(sample: Int32Array, gaps: readonly number[]): number[] {
  const cuts: number[] = [];
  let best: number[] = [];
  let bits = clusterBits(sample, 0, sample.length);
  let leastBits = bits;
  for (const place of gaps) {
    const found = cuts.findIndex((cut) => cut > place);
    const at = found < 0 ? cuts.length : found;
    const first = cuts[at - 1] ?? 0;
    const stop = cuts[at] ?? sample.length;
    bits += clusterBits(sample, first, place) + clusterBits(sample, place, stop);
    bits -= clusterBits(sample, first, stop);
    cuts.splice(at, 0, place);
    if (bits >= leastBits) continue;
    leastBits = bits;
    best = [...cuts];
  }
  return best;
}

/** Estimated bits of a cluster's samples: what telling the cluster costs, and the places inside its span. */
function clusterBits(sample: Int32Array, first: number, stop: number): number {
  const members = stop - first;
  if (members === 0) return 0;
  const span = sample[stop - 1]! - sample[first]! + 1;
  const spanBits = Math.log2(span) + (members < KNOWN_SPAN_SAMPLES ? UNKNOWN_SPAN_BITS : 0);
  return members * (Math.log2(sample.length / members) + spanBits);
}
