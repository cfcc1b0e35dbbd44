/**
 * Names of tensors. An initializer of the main graph is called what the file calls it. Tensors elsewhere are called
 * by the way to them, because their own names (if they have any) are unique nowhere:
 *
 *     conv1.weight                              initializer of the main graph
 *     initializer[3]                            the fourth of a graph, without a name
 *     Constant_12/value                         attribute of a node
 *     relu_out/alpha                            the node has no name: its first output, else node[7]
 *     Custom_1/tables[0]                        element of a list
 *     If_5/then_branch/bias                     initializer of a graph in an attribute; graphs[1]/... in a list
 *     embedding/values, embedding/indices       the two parts of a sparse tensor
 *     functions/my.domain.Gelu/Constant_0/value node of a function
 *     training_info[0]/algorithm/step           initializer of a training graph
 *
 * Fields come in any order, so a name may stand behind what it names: paths are asked for when all has been read.
 */
import { InvalidFileError } from "@tensorcask/codec";

/** Longest name in UTF-8 bytes: what the store takes. */
export const MAX_NAME_BYTES = 4096;
/**
 * Most characters of all names of one file together. Nested graphs repeat their prefixes, so a small file can ask
 * for long names; the limit is that of a safetensors header, which holds all names of a file too.
 */
export const MAX_NAMES_CHARACTERS = 100_000_000;

/** One step of a path. */
export class Place {
  readonly #outer: Place | undefined;
  readonly #kind: string;
  readonly #index: number | undefined;
  readonly #joint: string;
  /** What the file calls it; empty and undefined count as no name. */
  name: string | undefined;
  /** Stands in for a missing name, before the kind. */
  otherName: string | undefined;

  /** Without a name it is called `kind`, or `kind[index]`. `joint` comes between the outer path and that. */
  constructor(outer: Place | undefined, kind: string, index?: number, joint = "/") {
    this.#outer = outer;
    this.#kind = kind;
    this.#index = index;
    this.#joint = joint;
  }

  /** The whole path. Recursion ends where messages nest no deeper. */
  path(): string {
    const number = this.#index === undefined ? "" : `[${this.#index}]`;
    const own = this.name || this.otherName || this.#kind + number;
    return this.#outer === undefined ? own : this.#outer.path() + this.#joint + own;
  }
}

/**
 * The names of the tensors at these places, in this order, each of them once: where several ask for one name, the
 * first has it and the others get the lowest of `#2`, `#3`, ... that is free. A name over `MAX_NAME_BYTES` becomes
 * `tensor[i]`, counted over the whole file. Throws `InvalidFileError` (rule `names-limit`).
 */
export function uniqueNames(file: string, places: readonly Place[]): string[] {
  /** How often each name was given, once or more wanted. */
  const given = new Map<string, number>();
  let characters = 0;
  const wanted = places.map((place, index) => {
    let name = place.path();
    if (isTooLong(name)) name = `tensor[${index}]`;
    characters += name.length;
    if (characters > MAX_NAMES_CHARACTERS) {
      const message = `the names of its tensors have more than ${MAX_NAMES_CHARACTERS} characters`;
      throw new InvalidFileError(file, "names-limit", message);
    }
    given.set(name, 0);
    return name;
  });
  return wanted.map((name) => {
    let count = given.get(name)! + 1;
    if (count === 1) {
      given.set(name, 1);
      return name;
    }
    while (given.has(`${name}#${count}`)) count++;
    const unique = `${name}#${count}`;
    given.set(name, count);
    given.set(unique, 1);
    return unique;
  });
}

/** Room for a `#` and the highest count. */
const SUFFIX_BYTES = 16;

function isTooLong(name: string): boolean {
  const limit = MAX_NAME_BYTES - SUFFIX_BYTES;
  // UTF-8 takes three bytes at most for what UTF-16 has as one.
  return name.length * 3 > limit && Buffer.byteLength(name) > limit;
}
