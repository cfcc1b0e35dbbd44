/**
 * Tensors whose elements lie in another file. Model files come from strangers and name that file, so a location is
 * a relative path without any trick, inside the folder of the model: what `..`, an absolute path, a backslash, a
 * scheme or drive letter, a control character or a name that Windows takes for a device would reach is refused,
 * whether it exists or not. (That no link on the way leads out is checked where files are opened.)
 *
 * Two tensors with the very same bytes are one part under the first name; the others are listed in its metadata as
 * `aliases`. Tensors that share some bytes only are refused.
 *
 * `checksum` (a SHA-1 of the other file) is kept as metadata and not verified: it would cost a pass over the data,
 * and what is stored is checked by a hash of its own.
 */
import { basename } from "node:path";
import { InvalidFileError } from "@tensorcask/codec";
import { filePathProblem, windowsPathProblem } from "../../files/paths.ts";
import type { FilePlan, PlanPart } from "../../model/plan.ts";
import { coverWithParts, type TensorPart } from "../cover.ts";
import { quote } from "../strict-json.ts";
import type { OnnxTensor } from "./tensor-data.ts";
import type { TensorMessage } from "./tensor-message.ts";

/** Where elements lie in another file. Offset and length in bytes; no length: what the shape takes. */
export interface ExternalRange {
  /** Path relative to the folder of the model. */
  readonly location: string;
  readonly offset: number;
  readonly length: number | undefined;
}

/**
 * Reads the `external_data` of a tensor. Throws `InvalidFileError` naming the tensor: rules `location` and
 * `external-data` (a key twice, an offset or length that is no number).
 */
export function externalRange(file: string, message: TensorMessage, name: string): ExternalRange {
  const { externalData, externalTwice } = message;
  const invalid = (rule: string, problem: string): InvalidFileError =>
    new InvalidFileError(file, rule, `${problem} (its message is at byte ${message.ranges[0]!.offset})`, {
      tensor: name,
    });
  if (externalTwice !== undefined) {
    throw invalid("external-data", `its external_data has ${externalTwice} twice`);
  }
  const location = (externalData?.get("location") ?? "").replace(/^(?:\.\/+)+/, "");
  const problem = locationProblem(file, location);
  if (problem !== undefined) throw invalid("location", `its external location ${quote(location)} ${problem}`);
  const number = (key: string): number | undefined => {
    const text = externalData?.get(key);
    if (text === undefined) return undefined;
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text))) {
      throw invalid("external-data", `its external ${key} ${quote(text)} is no number of bytes`);
    }
    return Number(text);
  };
  return { location, offset: number("offset") ?? 0, length: number("length") };
}

function locationProblem(file: string, location: string): string | undefined {
  if (location === "") return "names no file";
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(location)) return "has a scheme or drive letter";
  const problem = filePathProblem(location) ?? windowsPathProblem(location);
  if (problem !== undefined) return problem;
  return location === basename(file) ? "is the model itself" : undefined;
}

/** Tensors in other files, gathered by file. */
export class ExternalData {
  readonly #file: string;
  readonly #tensors = new Map<string, { readonly tensor: OnnxTensor; readonly offset: number }[]>();

  /** `file` is the model, as errors call it. */
  constructor(file: string) {
    this.#file = file;
  }

  /** Adds a file, and the tensor that lies in it at `offset`, if there is a dtype for it. */
  add(location: string, offset: number, tensor?: OnnxTensor): void {
    let tensors = this.#tensors.get(location);
    if (tensors === undefined) {
      tensors = [];
      this.#tensors.set(location, tensors);
    }
    if (tensor !== undefined) tensors.push({ tensor, offset });
  }

  /** Paths of the files, relative to the folder of the model, sorted. */
  get companions(): string[] {
    return [...this.#tensors.keys()].sort();
  }

  /** The parts of a file by its size; see `FormatPlan.companionParts`. */
  companionParts(): ReadonlyMap<string, (bytes: number) => readonly PlanPart[]> {
    return new Map(
      [...this.#tensors.keys()].map((location) => [
        location,
        (bytes: number) => this.#parts(location, bytes),
      ]),
    );
  }

  /** Throws `InvalidFileError` (rule `external-missing`) when a file is not there. */
  check(companions: ReadonlyMap<string, FilePlan>): void {
    for (const [location, tensors] of this.#tensors) {
      if (companions.has(location)) continue;
      const tensor = tensors[0]?.tensor.name;
      throw new InvalidFileError(
        this.#file,
        "external-missing",
        `its file ${quote(location)} is not there; put it beside the model`,
        tensor === undefined ? {} : { tensor },
      );
    }
  }

  #parts(location: string, fileBytes: number): readonly PlanPart[] {
    const parts = new Map<string, TensorPart & { aliases: OnnxTensor[] }>();
    for (const { tensor, offset } of this.#tensors.get(location)!) {
      if (tensor.bytes > fileBytes - offset) {
        throw new InvalidFileError(
          this.#file,
          "missing-bytes",
          `its ${tensor.bytes} bytes at ${offset} reach beyond the ${fileBytes} bytes of ${quote(location)}`,
          { tensor: tensor.name },
        );
      }
      const key = tensor.bytes === 0 ? `empty ${tensor.name}` : `${offset}+${tensor.bytes}`;
      const same = parts.get(key);
      if (same === undefined) parts.set(key, { ...tensor, offset, aliases: [] });
      else same.aliases.push(tensor);
    }
    const tensors = [...parts.values()].map(({ aliases, ...part }) => ({
      ...part,
      ...(aliases.length > 0 && {
        metadata: {
          ...part.metadata,
          aliases: aliases.slice(0, MAX_LISTED_ALIASES).map(aliasOf),
          alias_count: aliases.length,
        },
      }),
    }));
    return coverWithParts(this.#file, tensors, fileBytes);
  }
}

/** Other names of the same bytes: so many are listed, others are counted only. */
const MAX_LISTED_ALIASES = 16;

function aliasOf({ name, dtype, shape }: OnnxTensor): { name: string; dtype: string; shape: number[] } {
  return { name, dtype: dtype.name, shape: [...shape] };
}
