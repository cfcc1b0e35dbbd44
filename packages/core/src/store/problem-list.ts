/** What verify finds, collected: problems never throw, and a wrecked store does not fill the memory with them. */
import { CancelledError, ClosedError, DamageError, TensorcaskError } from "@tensorcask/codec";
import type { Catalog } from "../catalog/catalog.ts";
import { GoneError } from "./gone.ts";
import { recordIdText } from "./record-id.ts";
import type { LongCallOptions, VerifyProblem } from "./types.ts";

/** Problems in one result; the last one says how many more there are. */
const MAX_PROBLEMS = 1000;

/** Naming the tensors that need a chunk reads all tensors, so only the first problems get names of their own; others share them by pack. */
const NAMED_ONE_BY_ONE = 64;

/** A chunk that is not what it should be. */
export interface BadChunk {
  readonly id: number;
  readonly pack: string;
  readonly offset: number;
  readonly message: string;
}

export class ProblemList {
  readonly #problems: VerifyProblem[] = [];
  #more = 0;

  get problems(): readonly VerifyProblem[] {
    if (this.#more === 0) return this.#problems;
    return [...this.#problems, { where: "verify", message: `and ${this.#more} more problems`, tensors: [] }];
  }

  add(where: string, message: string, tensors: readonly string[] = []): void {
    if (this.#problems.length < MAX_PROBLEMS)
      this.#problems.push({ where, message: withoutPlace(message, where), tensors });
    else this.#more += 1;
  }

  /** Runs a part of the check. What it throws because of damage or a failing disk becomes a problem. */
  async guard(where: string, check: () => Promise<void> | void): Promise<void> {
    try {
      await check();
    } catch (error) {
      if (!isFinding(error)) throw error;
      const place = error instanceof DamageError ? error.where : where;
      this.add(place, error.message, error instanceof DamageError ? error.tensors : []);
    }
  }

  /** Adds bad chunks with the names of the tensors that they hit. */
  addChunks(bad: readonly BadChunk[], catalog: Catalog): void {
    const first = bad.slice(0, NAMED_ONE_BY_ONE);
    for (const chunk of first) this.add(placeOf(chunk), chunk.message, usersOf(catalog, [chunk.id]));
    const byPack = new Map<string, BadChunk[]>();
    for (const chunk of bad.slice(NAMED_ONE_BY_ONE)) {
      const others = byPack.get(chunk.pack);
      if (others === undefined) byPack.set(chunk.pack, [chunk]);
      else others.push(chunk);
    }
    for (const chunks of byPack.values()) {
      const tensors = usersOf(
        catalog,
        chunks.map(({ id }) => id),
      );
      for (const chunk of chunks) this.add(placeOf(chunk), chunk.message, tensors);
    }
  }
}

/** Whether an error says something about the store and not about the caller. */
export function isFinding(error: unknown): error is Error {
  if (error instanceof CancelledError || error instanceof ClosedError) return false;
  return error instanceof TensorcaskError || error instanceof GoneError;
}

/** Names of what needs these chunks; none when the catalog cannot tell. */
export function usersOf(catalog: Catalog, chunks: readonly number[]): readonly string[] {
  try {
    return catalog.usersOf(chunks, recordIdText);
  } catch (error) {
    if (!isFinding(error)) throw error;
    return [];
  }
}

/** Throws `CancelledError` when the caller's signal says so. */
export function checkSignal(options: LongCallOptions): void {
  if (options.signal?.aborted) throw new CancelledError("the verification", { cause: options.signal.reason });
}

function placeOf({ pack, offset }: BadChunk): string {
  return `pack ${pack} at ${offset}`;
}

/** Messages of `DamageError` begin with their place, which a problem has beside them. */
function withoutPlace(message: string, where: string): string {
  return message.startsWith(`${where}: `) ? message.slice(where.length + 2) : message;
}
