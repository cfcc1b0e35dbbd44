/**
 * Families: stored tensors that resemble each other, or whose chunks are coded against each other's. What `optimize` works on.
 *
 *   tensors of current versions, exact, in chunks of their own, under a policy that codes against siblings
 *     -> those whose sketches agree in 2 hashes, and whose chunks fit        one family
 *     -> those of which one's chunks are coded against the other's, or       one family
 *        both against the same chunk, whoever has that
 *
 * Memory: some dozen bytes for each such tensor, and for each chunk that others are coded against.
 */
import { byteLength, type CodecPolicy, dtypeOfCode, usesSiblings } from "@tensorcask/codec";
import type { Catalog, DatasetRow, StoredTensor } from "../catalog/catalog.ts";
import type { Runs } from "../model/entry.ts";
import { idsOf } from "../model/runs.ts";
import type { StoreContext } from "./context.ts";
import { currentTensors } from "./dataset-tensors.ts";
import { chunksOf } from "./footprint.ts";
import { fits, LIKELY_HASHES, type TensorForm } from "./sibling-finder.ts";

/** Tensors are looked up in slices of this many. */
const TENSORS_AT_ONCE = 1000;

/** Tensors looked at between two turns for others. */
const TENSORS_A_TURN = 100;

/** A tensor that may be coded anew. */
export interface FamilyTensor extends TensorForm {
  readonly id: number;
  readonly runs: Runs;
  /** Name of the oldest dataset that has it, and the policy of that. */
  readonly dataset: string;
  readonly policy: CodecPolicy;
  /** How many others its sketch agrees with. */
  readonly links: number;
}

/** Families of a store as of one moment. */
export interface Families {
  /** Ids of the tensors of each, rising. */
  readonly members: readonly (readonly number[])[];
  /** Source bytes of all of them. */
  readonly bytes: number;
  /** Whether a chunk that others are coded against is kept for that only. */
  isLeftOver(chunk: number): boolean;
  /** What is still there of a family. */
  tensors(members: readonly number[]): FamilyTensor[];
}

interface Home {
  readonly dataset: string;
  readonly policy: CodecPolicy;
}

export interface FindFamiliesOptions {
  /** Only those that tensors of this dataset belong to. */
  readonly only?: DatasetRow | undefined;
  /** Chunks that an import staged less than so many milliseconds ago count as used. */
  readonly stagedMs: number;
  /** Called every now and then; others get a turn there. */
  pause(): Promise<void>;
}

/** Finds the families of a store. */
export async function findFamilies(
  context: StoreContext,
  { only, stagedMs, pause }: FindFamiliesOptions,
): Promise<Families> {
  const { catalog } = context;
  const homes = findHomes(context);
  const kin = new Kinship();
  const owners = new Map<number, TensorForm & { readonly id: number }>();
  let seen = 0;
  for (const stored of eachTensor(catalog, [...homes.keys()])) {
    const form = formOf(stored);
    if (form === undefined) homes.delete(stored.id);
    else relate(catalog, stored, form, homes, owners, kin);
    if (++seen % TENSORS_A_TURN === 0) await pause();
  }
  const live = new Set<number>();
  if (owners.size > 0) {
    const dead = new Set(idsOf(catalog.dead({ now: Date.now(), stagedMs }).tensors));
    for (const stored of catalog.allTensors()) {
      if (++seen % TENSORS_A_TURN === 0) await pause();
      if (dead.has(stored.id)) continue;
      const form = homes.has(stored.id) ? formOf(stored) : undefined;
      for (const chunk of chunksOf(stored)) {
        const owner = owners.get(chunk);
        if (owner === undefined) continue;
        live.add(chunk);
        if (form !== undefined && fits(form, owner)) kin.join(stored.id, owner.id);
      }
    }
  }
  const wanted = only && currentTensors(catalog, only);
  const members = kin.families().filter((ids) => wanted === undefined || ids.some((id) => wanted.has(id)));
  let bytes = 0;
  for (const ids of members)
    for (const stored of eachTensor(catalog, ids))
      bytes += byteLength(dtypeOfCode(stored.dtype)!, stored.shape);
  return {
    members,
    bytes,
    isLeftOver: (chunk) => owners.has(chunk) && !live.has(chunk),
    tensors: (ids) =>
      [...eachTensor(catalog, ids)].flatMap((stored) => {
        const form = formOf(stored);
        return form === undefined
          ? []
          : [{ id: stored.id, ...form, ...homes.get(stored.id)!, links: kin.links(stored.id) }];
      }),
  };
}

/** For each tensor of a current version the oldest dataset that has it, where that codes against siblings. */
function findHomes(context: StoreContext): Map<number, Home> {
  const { catalog } = context;
  const homes = new Map<number, Home>();
  for (const row of catalog.datasets().sort((a, b) => a.dataset - b.dataset)) {
    const policy = context.preset(row.preset ?? context.storePreset).codec;
    if (!usesSiblings(policy)) continue;
    const home = { dataset: row.name, policy };
    for (const tensor of currentTensors(catalog, row)) if (!homes.has(tensor)) homes.set(tensor, home);
  }
  return homes;
}

/** Joins a tensor with those that it resembles, or that are coded against the same chunks. */
function relate(
  catalog: Catalog,
  { id, sketch }: StoredTensor,
  form: TensorForm & { readonly runs: Runs },
  homes: ReadonlyMap<number, Home>,
  owners: Map<number, TensorForm & { readonly id: number }>,
  kin: Kinship,
): void {
  const chunks = catalog.read(() => [...idsOf(form.runs)].map((chunk) => catalog.chunk(chunk)));
  for (const row of chunks) {
    const sibling = row?.sibling;
    if (sibling === undefined) continue;
    const owner = owners.get(sibling);
    kin.add(id);
    if (owner === undefined) owners.set(sibling, { id, dtype: form.dtype, shape: form.shape });
    else if (fits(form, owner)) kin.join(id, owner.id);
  }
  for (const { tensor, bands } of sketch === undefined ? [] : catalog.siblingCandidates(sketch)) {
    if (bands < LIKELY_HASHES) break;
    if (tensor === id || !homes.has(tensor)) continue;
    const other = catalog.tensor(tensor);
    const otherForm = other && formOf(other);
    if (otherForm !== undefined && fits(otherForm, form)) kin.link(id, tensor);
  }
}

/** Dtype, shape and chunks of a tensor that is stored exactly and in chunks of its own. */
function formOf(stored: StoredTensor): (TensorForm & { readonly runs: Runs }) | undefined {
  const dtype = dtypeOfCode(stored.dtype);
  const place = stored.arrays[0]?.place;
  if (dtype === undefined || stored.quantization !== undefined || stored.geometry !== "elements")
    return undefined;
  return place === undefined || !("runs" in place)
    ? undefined
    : { dtype, shape: stored.shape, runs: place.runs };
}

/** Those of the tensors that are still there. */
function* eachTensor(catalog: Catalog, ids: readonly number[]): Generator<StoredTensor> {
  for (let at = 0; at < ids.length; at += TENSORS_AT_ONCE) {
    yield* catalog.read(() =>
      ids
        .slice(at, at + TENSORS_AT_ONCE)
        .map((id) => catalog.tensor(id))
        .filter((stored) => stored !== undefined),
    );
  }
}

/** Which tensors belong together (union-find). */
class Kinship {
  readonly #parents = new Map<number, number>();
  readonly #links = new Map<number, number>();

  add(tensor: number): void {
    if (!this.#parents.has(tensor)) this.#parents.set(tensor, tensor);
  }

  join(a: number, b: number): void {
    this.add(a);
    this.add(b);
    this.#parents.set(this.#root(a), this.#root(b));
  }

  /** Joins tensors that resemble each other. */
  link(a: number, b: number): void {
    this.join(a, b);
    for (const tensor of [a, b]) this.#links.set(tensor, this.links(tensor) + 1);
  }

  links(tensor: number): number {
    return this.#links.get(tensor) ?? 0;
  }

  families(): number[][] {
    const families = new Map<number, number[]>();
    for (const tensor of [...this.#parents.keys()].sort((a, b) => a - b)) {
      const root = this.#root(tensor);
      const family = families.get(root);
      if (family === undefined) families.set(root, [tensor]);
      else family.push(tensor);
    }
    return [...families.values()];
  }

  #root(tensor: number): number {
    let root = tensor;
    for (let next = this.#parents.get(root)!; next !== root; next = this.#parents.get(root)!) {
      this.#parents.set(root, this.#parents.get(next)!);
      root = next;
    }
    return root;
  }
}
