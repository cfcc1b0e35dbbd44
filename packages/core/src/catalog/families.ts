/**
 * Families: datasets that lean on each other, by chunks that they share and by chunks that are stored as differences to another's. Found in
 * the pass that measures sizes, from the runs of chunks that each dataset uses.
 *
 * Every stored chunk is counted once, at its home: the oldest dataset whose current version uses it; a chunk that is only kept because others are
 * coded against it is at home with the oldest dataset that needs it so. A dataset that uses a chunk of another home shares it; one whose own chunk is
 * coded against a chunk of another home has a difference to it. Memory: 4 bytes a chunk and one link for each pair of datasets.
 */
import type { Runs } from "../model/entry.ts";
import type { ChunkCensus } from "./census.ts";

/** A dataset in its family. Of its bytes on disk, each in one of plain, difference, shared or kept. */
export interface FamilyMember {
  readonly dataset: string;
  /** Bytes of its distinct chunks before coding. */
  readonly rawBytes: number;
  /** Frames at home here that are coded by themselves. */
  readonly plainBytes: number;
  /** Frames at home here that are coded against another chunk. */
  readonly differenceBytes: number;
  /** Frames that it uses and that are at home with older datasets. */
  readonly sharedBytes: number;
  /** Frames that no dataset uses, kept because chunks of this one are coded against them: what is left of a dataset that was deleted. */
  readonly keptBytes: number;
}

/** What one dataset has of another one. Both are the same where chunks of a dataset are differences to others of its own. */
export interface FamilyLink {
  readonly dataset: string;
  readonly base: string;
  readonly differenceChunks: number;
  /** Bytes of these chunks before coding, and of the frames that hold the differences. */
  readonly differenceRawBytes: number;
  readonly differenceBytes: number;
  readonly sharedChunks: number;
  readonly sharedRawBytes: number;
  readonly sharedBytes: number;
}

export interface FamilyUsage {
  /** The member against whose chunks most bytes of others are coded, else the one that they share most with. */
  readonly centre: string;
  /** The centre first, then by name. */
  readonly members: readonly FamilyMember[];
  readonly links: readonly FamilyLink[];
  /** Sum of the members' raw bytes. */
  readonly rawBytes: number;
  /** Frames at home in the family, each once. */
  readonly storedBytes: number;
  /** What storing shared frames once for each member that uses them would take more. */
  readonly sharingSavedBytes: number;
  readonly differenceChunks: number;
  readonly differenceRawBytes: number;
  readonly differenceBytes: number;
  /** An estimate: each of these chunks at what a byte of its sibling takes, less its frame. */
  readonly differenceSavedBytes: number;
}

/** A dataset and the places of the chunks that its current version uses. */
export interface FamilyDataset {
  readonly name: string;
  readonly chunks: Runs;
}

/**
 * Of the raw bytes of the smaller one, the part from which on a link makes two datasets relatives: a licence text or an attribute file that a thousand
 * models have in common does not.
 */
const KINSHIP = 0.01;

interface Tally {
  rawBytes: number;
  plainBytes: number;
  differenceBytes: number;
  sharedBytes: number;
  keptBytes: number;
  readonly links: Map<number, LinkTally>;
}

interface LinkTally {
  differenceChunks: number;
  differenceRawBytes: number;
  differenceBytes: number;
  differenceSavedBytes: number;
  sharedChunks: number;
  sharedRawBytes: number;
  sharedBytes: number;
}

/** Families, the one that takes most bytes first. `datasets` come from the oldest to the newest. */
export function measureFamilies(chunks: ChunkCensus, datasets: readonly FamilyDataset[]): FamilyUsage[] {
  const homes = new Int32Array(chunks.order.ids.length).fill(-1);
  const tallies = datasets.map(
    (): Tally => ({
      rawBytes: 0,
      plainBytes: 0,
      differenceBytes: 0,
      sharedBytes: 0,
      keptBytes: 0,
      links: new Map(),
    }),
  );
  for (const [dataset, uses] of datasets.entries()) settle(homes, uses.chunks, dataset);
  for (const [dataset, uses] of datasets.entries())
    tallies[dataset]!.keptBytes = adopt(chunks, homes, uses.chunks, dataset);
  for (const [dataset, uses] of datasets.entries())
    tally(chunks, homes, uses.chunks, dataset, tallies[dataset]!);
  const names = datasets.map(({ name }) => name);
  return groups(tallies)
    .map((members) => familyOf(members, tallies, names))
    .sort((a, b) => b.storedBytes - a.storedBytes || (a.centre < b.centre ? -1 : 1));
}

/** Makes a dataset the home of the chunks that have none. */
function settle(homes: Int32Array, runs: Runs, dataset: number): void {
  for (let run = 0; run < runs.length; run += 2) {
    const end = runs[run]! + runs[run + 1]!;
    for (let chunk = runs[run]!; chunk < end; chunk += 1) if (homes[chunk]! < 0) homes[chunk] = dataset;
  }
}

/** Makes a dataset the home of what its chunks are coded against and nothing uses; the bytes of these frames. */
function adopt(chunks: ChunkCensus, homes: Int32Array, runs: Runs, dataset: number): number {
  let keptBytes = 0;
  for (let run = 0; run < runs.length; run += 2) {
    const end = runs[run]! + runs[run + 1]!;
    for (let chunk = runs[run]!; chunk < end; chunk += 1) {
      const base = chunks.bases[chunk]!;
      if (base < 0 || homes[base]! >= 0) continue;
      homes[base] = dataset;
      keptBytes += chunks.frameBytes[base]!;
    }
  }
  return keptBytes;
}

function tally(chunks: ChunkCensus, homes: Int32Array, runs: Runs, dataset: number, into: Tally): void {
  const { frameBytes, rawBytes, bases } = chunks;
  for (let run = 0; run < runs.length; run += 2) {
    const end = runs[run]! + runs[run + 1]!;
    for (let chunk = runs[run]!; chunk < end; chunk += 1) {
      const frame = frameBytes[chunk]!;
      const raw = rawBytes[chunk]!;
      const home = homes[chunk]!;
      const base = bases[chunk]!;
      into.rawBytes += raw;
      if (home !== dataset) {
        into.sharedBytes += frame;
        const link = linkTo(into, home);
        link.sharedChunks += 1;
        link.sharedRawBytes += raw;
        link.sharedBytes += frame;
      } else if (base < 0) into.plainBytes += frame;
      else {
        into.differenceBytes += frame;
        const link = linkTo(into, homes[base]!);
        link.differenceChunks += 1;
        link.differenceRawBytes += raw;
        link.differenceBytes += frame;
        link.differenceSavedBytes += (raw * frameBytes[base]!) / Math.max(1, rawBytes[base]!) - frame;
      }
    }
  }
}

function linkTo({ links }: Tally, home: number): LinkTally {
  let link = links.get(home);
  if (link === undefined) {
    link = {
      differenceChunks: 0,
      differenceRawBytes: 0,
      differenceBytes: 0,
      differenceSavedBytes: 0,
      sharedChunks: 0,
      sharedRawBytes: 0,
      sharedBytes: 0,
    };
    links.set(home, link);
  }
  return link;
}

/** Connected components of relatives that save anything: several datasets, or one that has differences within itself. */
function groups(tallies: readonly Tally[]): number[][] {
  const parents = Int32Array.from(tallies.keys());
  const rootOf = (dataset: number): number => {
    let root = dataset;
    while (parents[root] !== root) {
      parents[root] = parents[parents[root]!]!;
      root = parents[root]!;
    }
    return root;
  };
  for (const [dataset, { rawBytes, links }] of tallies.entries()) {
    for (const [base, { differenceRawBytes, sharedRawBytes }] of links) {
      const smaller = Math.min(rawBytes, tallies[base]!.rawBytes);
      if (differenceRawBytes + sharedRawBytes >= KINSHIP * smaller) parents[rootOf(dataset)] = rootOf(base);
    }
  }
  const byRoot = new Map<number, number[]>();
  for (const dataset of tallies.keys()) {
    const root = rootOf(dataset);
    const members = byRoot.get(root);
    if (members === undefined) byRoot.set(root, [dataset]);
    else members.push(dataset);
  }
  return [...byRoot.values()].filter(
    (members) => members.length > 1 || tallies[members[0]!]!.links.has(members[0]!),
  );
}

function familyOf(
  datasets: readonly number[],
  tallies: readonly Tally[],
  names: readonly string[],
): FamilyUsage {
  const inside = new Set(datasets);
  const links: FamilyLink[] = [];
  // By dataset: what others have of it, as differences and shared.
  const leaning = new Map(datasets.map((dataset) => [dataset, { differences: 0, shared: 0 }]));
  let differenceSavedBytes = 0;
  for (const dataset of datasets) {
    for (const [base, { differenceSavedBytes: saved, ...link }] of tallies[dataset]!.links) {
      if (!inside.has(base)) continue;
      links.push({ dataset: names[dataset]!, base: names[base]!, ...link });
      differenceSavedBytes += saved;
      if (base === dataset) continue;
      const lean = leaning.get(base)!;
      lean.differences += link.differenceRawBytes;
      lean.shared += link.sharedRawBytes;
    }
  }
  const [centre] = [...leaning].reduce((best, each) =>
    each[1].differences - best[1].differences > 0 ||
    (each[1].differences === best[1].differences && each[1].shared > best[1].shared)
      ? each
      : best,
  );
  const order = datasets
    .filter((dataset) => dataset !== centre)
    .sort((a, b) => (names[a]! < names[b]! ? -1 : 1));
  const members = [centre, ...order].map((dataset): FamilyMember => {
    const { links: _, ...sizes } = tallies[dataset]!;
    return { dataset: names[dataset]!, ...sizes };
  });
  const sum = <T>(items: readonly T[], of: (item: T) => number): number =>
    items.reduce((total, item) => total + of(item), 0);
  return {
    centre: names[centre]!,
    members,
    links,
    rawBytes: sum(members, (member) => member.rawBytes),
    storedBytes: sum(members, (member) => member.plainBytes + member.differenceBytes + member.keptBytes),
    sharingSavedBytes: sum(links, (link) => link.sharedBytes),
    differenceChunks: sum(links, (link) => link.differenceChunks),
    differenceRawBytes: sum(links, (link) => link.differenceRawBytes),
    differenceBytes: sum(links, (link) => link.differenceBytes),
    differenceSavedBytes: Math.round(differenceSavedBytes),
  };
}
