/**
 * The files of a folder that is imported whole. Paths are relative to the folder, with `/`, sorted. What is left
 * out silently would be missed later, so everything is either taken, reported as skipped, or refused:
 *
 *   skipped   names that start with a dot (.git, .DS_Store, .cache), leavings of desktops, links to folders, excluded folders
 *   refused   links that lead out of the folder or nowhere (but see links.ts), devices, pipes and sockets
 */
import { join, resolve } from "node:path";
import { InvalidFileError, LimitError } from "@tensorcask/codec";
import type { FileSystem } from "../files/file-system.ts";
import { followInside, type LinkBounds, type LinkReader, linkBounds } from "../files/links.ts";
import { checkFilePath } from "../files/paths.ts";
import type { FileState } from "../model/plan.ts";

/** Most files that one import takes: their plans are held in memory until it lands, as a whole or not at all. */
export const MAX_IMPORT_FILES = 1_000_000;

/** Files that desktops leave in folders; others start with a dot. */
const DESKTOP_FILES: ReadonlySet<string> = new Set(["Thumbs.db", "desktop.ini", "Icon\r"]);

/** A file that is to be imported. */
export interface InputFile extends FileState {
  /** Path inside the dataset. */
  readonly path: string;
  /** Where it was found: the name in errors. */
  readonly name: string;
  /** Where it is opened: `name` with links followed. */
  readonly opens: string;
}

/** Something that is not imported, and why. */
export interface Skipped {
  readonly path: string;
  readonly reason: string;
}

/** What a folder holds. */
export interface Walk {
  /** Sorted by path. */
  readonly files: readonly InputFile[];
  readonly skipped: readonly Skipped[];
}

/**
 * Lists all files of a folder and its subfolders. `excluded` folders (absolute paths) are skipped. Throws
 * `InvalidFileError` (rules `link`, `not-a-file`), `UsageError` for names that cannot be kept, `LimitError` and
 * `StorageError`.
 */
export async function walkDirectory(
  fs: FileSystem,
  links: LinkReader,
  folder: string,
  excluded: ReadonlySet<string> = new Set(),
): Promise<Walk> {
  const walker = new Walker(fs, links, await linkBounds(links, folder), excluded);
  await walker.walk(folder, "");
  walker.files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return walker;
}

class Walker implements Walk {
  readonly files: InputFile[] = [];
  readonly skipped: Skipped[] = [];
  readonly #fs: FileSystem;
  readonly #links: LinkReader;
  readonly #bounds: LinkBounds;
  readonly #excluded: ReadonlySet<string>;

  constructor(fs: FileSystem, links: LinkReader, bounds: LinkBounds, excluded: ReadonlySet<string>) {
    this.#fs = fs;
    this.#links = links;
    this.#bounds = bounds;
    this.#excluded = excluded;
  }

  async walk(folder: string, prefix: string): Promise<void> {
    const linked = new Set(await this.#links.linksIn(folder));
    const entries = await this.#fs.list(folder);
    const listed = new Set(entries.map((entry) => entry.name));
    const dangling = [...linked].find((name) => !listed.has(name) && skipReason(name) === undefined);
    if (dangling !== undefined) {
      throw new InvalidFileError(join(folder, dangling), "link", "the link leads to nothing");
    }
    for (const { name, kind, bytes, modifiedMs } of entries) {
      const path = `${prefix}${name}`;
      const found = join(folder, name);
      const reason = this.#excluded.has(resolve(found)) ? "the store itself" : skipReason(name);
      if (reason !== undefined) {
        this.skipped.push({ path, reason });
        continue;
      }
      if (kind === "other") throw notAFile(found);
      const opens = linked.has(name) ? await this.#follow(found) : found;
      if (kind === "file") {
        this.files.push({ path: checkFilePath(path), name: found, opens, bytes, modifiedMs });
        if (this.files.length > MAX_IMPORT_FILES) {
          throw new LimitError("files in one import", this.files.length, MAX_IMPORT_FILES);
        }
      } else if (linked.has(name)) {
        // Its files are inside the folder (else the link is refused), so they come by their own paths.
        this.skipped.push({ path, reason: "a link to a folder" });
      } else {
        await this.walk(found, `${checkFilePath(path)}/`);
      }
    }
  }

  async #follow(link: string): Promise<string> {
    const target = await followInside(this.#links, this.#bounds, link);
    if (target !== undefined) return target;
    throw new InvalidFileError(
      link,
      "link",
      "the link leads out of the folder that is imported; import what it leads to, or put a copy in its place",
    );
  }
}

function skipReason(name: string): string | undefined {
  if (name.startsWith(".")) return "hidden";
  return DESKTOP_FILES.has(name) ? "left by the desktop" : undefined;
}

/** The error for devices, pipes and sockets. */
export function notAFile(path: string): InvalidFileError {
  return new InvalidFileError(path, "not-a-file", "it is a device, a pipe or a socket, not a file");
}
