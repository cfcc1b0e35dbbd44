/**
 * From the paths of an import to the plans of its files: folders are walked, a file brings its companions (an index
 * its shards), every file is recognised and planned. Only headers are read. Nothing is stored here, and either every
 * file can be planned or the import is refused.
 */
import { basename, dirname, join, resolve } from "node:path";
import { CancelledError, InvalidFileError, LimitError, NotFoundError, UsageError } from "@tensorcask/codec";
import type { FileSystem } from "../files/file-system.ts";
import { followInside, type LinkReader, linkBounds, nodeLinks } from "../files/links.ts";
import { checkFilePath, filePathProblem } from "../files/paths.ts";
import {
  type FilePlan,
  fileSource,
  OPAQUE_FORMAT,
  opaqueParts,
  opaquePlan,
  type Source,
} from "../model/plan.ts";
import { checkPlan } from "./check-plan.ts";
import { joinCompanions, type PlannedFile } from "./companions.ts";
import { type InputFile, MAX_IMPORT_FILES, notAFile, type Skipped, walkDirectory } from "./directory.ts";
import { type FormatPlan, HEAD_BYTES } from "./format.ts";
import { formatOf } from "./registry.ts";
import { quote } from "./strict-json.ts";

/** How inputs are planned. */
export interface PlanInputsOptions {
  /** Keep files that break the rules of their format as opaque bytes. Default: refuse them. */
  readonly opaque?: boolean;
  /** Folders that are never imported: the store's own. */
  readonly exclude?: readonly string[];
  readonly signal?: AbortSignal;
  /** Where symbolic links are looked up; the disk unless told otherwise. */
  readonly links?: LinkReader;
}

/** The files of an import. */
export interface PlannedInputs {
  /**
   * In the order of the inputs; those of a folder sorted by path; shards behind all others that bring them. Paths
   * are unique.
   */
  readonly files: FilePlan[];
  /** What the folders hold that is not imported. */
  readonly skipped: Skipped[];
  /** Files that looked like a format, broke its rules and are kept as opaque bytes; the reason says which. */
  readonly keptOpaque: Skipped[];
}

/**
 * Plans the files, folders and sharded indexes at `paths`. A file is named by its basename, a folder's files by
 * their paths inside it. The same file given twice (an index and its shards, say) is taken once; two files of one
 * name are refused.
 *
 * Throws `NotFoundError`, `UsageError` (two files of one name, names that cannot be kept), `InvalidFileError`
 * naming file, tensor and rule, `LimitError`, `StorageError` and `CancelledError`.
 */
export async function planInputs(
  fs: FileSystem,
  paths: readonly string[],
  options: PlanInputsOptions = {},
): Promise<PlannedInputs> {
  const planner = new Planner(fs, options);
  for (const path of paths) await planner.add(path);
  return planner.plan();
}

/** What a source was recognised as. `broken` says which rule made it opaque. */
export interface SourcePlan {
  readonly format: string;
  readonly plan: FormatPlan;
  readonly broken?: InvalidFileError;
}

/**
 * Recognises one source, named `name` (without folders), and plans it. A file that is claimed by its name and
 * breaks its format's rules is an `InvalidFileError`, unless `keepInvalid` is set; one that merely looks like a
 * format is opaque then.
 */
export async function planSource(source: Source, name: string, keepInvalid = false): Promise<SourcePlan> {
  const head = new Uint8Array(Math.min(HEAD_BYTES, source.bytes));
  await source.read(head, 0);
  const { format, claim } = formatOf(name, head);
  try {
    const plan = await format.plan(source);
    checkPlan(source.name, source.bytes, plan.parts, plan.derived);
    return { format: format.id, plan };
  } catch (error) {
    if (!(error instanceof InvalidFileError) || (claim === "name" && !keepInvalid)) throw error;
    return { format: OPAQUE_FORMAT, plan: { parts: opaqueParts(source.bytes) }, broken: error };
  }
}

class Planner {
  readonly #fs: FileSystem;
  readonly #links: LinkReader;
  readonly #options: PlanInputsOptions;
  readonly #excluded: ReadonlySet<string>;
  readonly #inputs = new Map<string, InputFile>();
  /** Paths of the files that were given by themselves: their companions may be looked up on the disk. */
  readonly #single = new Set<string>();
  readonly #skipped: Skipped[] = [];
  readonly #keptOpaque: Skipped[] = [];

  constructor(fs: FileSystem, options: PlanInputsOptions) {
    this.#fs = fs;
    this.#options = options;
    this.#links = options.links ?? nodeLinks;
    this.#excluded = new Set(options.exclude?.map((path) => resolve(path)));
  }

  /** Finds the files of one input. */
  async add(input: string): Promise<void> {
    const status = await this.#fs.stat(input);
    if (status === undefined) throw new NotFoundError("file or folder", input);
    if (status.kind === "other") throw notAFile(input);
    if (status.kind === "directory") {
      const walk = await walkDirectory(this.#fs, this.#links, input, this.#excluded);
      for (const file of walk.files) this.#take(file);
      this.#skipped.push(...walk.skipped);
      return;
    }
    const path = checkFilePath(basename(resolve(input)));
    this.#single.add(path);
    this.#take({ path, name: input, opens: input, bytes: status.bytes, modifiedMs: status.modifiedMs });
  }

  async plan(): Promise<PlannedInputs> {
    const planned = new Map<string, PlannedFile>();
    // Companions that are found on the way join the map and are planned by the same loop.
    for (const [path, input] of this.#inputs) {
      if (this.#options.signal?.aborted) throw new CancelledError("the import");
      const file = await this.#planFile(input);
      planned.set(path, file);
      if (this.#single.has(path)) await this.#addCompanions(input, file.found.companions ?? []);
    }
    const joined = joinCompanions(planned, this.#keptOpaque, this.#options.opaque === true);
    return { ...joined, skipped: this.#skipped };
  }

  #take(file: InputFile): void {
    const taken = this.#inputs.get(file.path);
    if (taken === undefined) {
      this.#inputs.set(file.path, file);
      if (this.#inputs.size > MAX_IMPORT_FILES) {
        throw new LimitError("files in one import", this.#inputs.size, MAX_IMPORT_FILES);
      }
    } else if (resolve(taken.name) !== resolve(file.name)) {
      throw new UsageError(
        "paths",
        `${taken.name} and ${file.name} would both become ${JSON.stringify(file.path)}; import them apart, or the folder that holds both`,
      );
    }
  }

  /** Adds what belongs to a file that was given by itself. What is missing is left to the format's check. */
  async #addCompanions(of: InputFile, companions: readonly string[]): Promise<void> {
    if (companions.length === 0) return;
    const folder = dirname(of.name);
    const links = new Set(await this.#links.linksIn(folder));
    const bounds = await linkBounds(this.#links, folder);
    for (const path of companions) {
      const problem = filePathProblem(path);
      if (problem !== undefined) {
        throw new InvalidFileError(
          of.name,
          "companion",
          `the name of its companion ${quote(path)} ${problem}`,
        );
      }
      const name = join(folder, path);
      const status = await this.#fs.stat(name);
      if (status?.kind !== "file") continue;
      // In a folder below, any part of the way may be a link.
      const mayBeLink = path.includes("/")
        ? (await this.#links.realPath(name)) !== undefined
        : links.has(path);
      const opens = mayBeLink ? await followInside(this.#links, bounds, name) : name;
      if (opens === undefined) {
        throw new InvalidFileError(name, "link", `the link leads out of the folder of ${of.name}`);
      }
      this.#take({ path, name, opens, bytes: status.bytes, modifiedMs: status.modifiedMs });
    }
  }

  async #planFile(input: InputFile): Promise<PlannedFile> {
    const { path, name, opens } = input;
    const open = () => fileSource(this.#fs, opens, name, input);
    const source = await open();
    try {
      const { format, plan, broken } = await planSource(
        source,
        basename(path),
        this.#options.opaque === true,
      );
      if (broken !== undefined) this.#keptOpaque.push({ path, reason: broken.message });
      const { parts, derived, metadata } = plan;
      return {
        name,
        found: plan,
        plan: {
          path,
          format,
          bytes: source.bytes,
          parts,
          ...(derived !== undefined && { derived }),
          ...(metadata !== undefined && { metadata }),
          source: open,
        },
      };
    } catch (error) {
      if (!(error instanceof InvalidFileError)) throw error;
      const plan = { path, format: OPAQUE_FORMAT, bytes: source.bytes, parts: [], source: open };
      return { name, found: { parts: [] }, plan: opaquePlan(plan), refused: error };
    } finally {
      await source.close();
    }
  }
}
