/**
 * Symbolic links, which the seam to the disk follows silently. Importing a folder must not wander out of it through
 * a link (a downloaded archive may hold `weights.bin -> /etc/passwd`), and exporting into a folder must not write
 * through one. One layout does lead out of a folder on purpose and is allowed: the Hugging Face cache keeps each
 * file once and links to it,
 *
 *     models--org--name/blobs/<hash>
 *     models--org--name/snapshots/<revision>/model.safetensors -> ../../blobs/<hash>
 */
import { readdir, realpath } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { StorageError, UsageError } from "@tensorcask/codec";
import { joinInside } from "./paths.ts";

/** What must be asked about links. File systems in memory have none: there, nothing is found. */
export interface LinkReader {
  /** Names of the symbolic links in a folder, dangling ones too. */
  linksIn(folder: string): Promise<string[]>;
  /** The path with all links followed; undefined when nothing is there. */
  realPath(path: string): Promise<string | undefined>;
}

/** The links of this machine's disk. */
export const nodeLinks: LinkReader = {
  async linksIn(folder) {
    const entries = await unlessMissing("list", folder, readdir(folder, { withFileTypes: true }));
    return (entries ?? []).filter((entry) => entry.isSymbolicLink()).map((entry) => entry.name);
  },
  realPath: (path) => unlessMissing("realpath", path, realpath(path)),
};

async function unlessMissing<T>(operation: string, path: string, result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new StorageError(operation, path, error);
  }
}

/** Folders that links may lead into. */
export interface LinkBounds {
  /** The folder itself, without links. */
  readonly root: string;
  /** In a Hugging Face cache: the folder of the blobs. */
  readonly blobs: string | undefined;
}

/** The bounds of a folder that is imported. */
export async function linkBounds(links: LinkReader, folder: string): Promise<LinkBounds> {
  const root = (await links.realPath(folder)) ?? resolve(folder);
  // The folder may be a snapshot, or lie somewhere in one.
  for (let revision = root; revision !== dirname(revision); revision = dirname(revision)) {
    const snapshots = dirname(revision);
    if (basename(snapshots) === "snapshots") return { root, blobs: join(dirname(snapshots), "blobs") };
  }
  return { root, blobs: undefined };
}

/**
 * Where a link leads, if that is within bounds: inside the root, or directly to a blob. Undefined when nothing is
 * there, or when it leads elsewhere.
 */
export async function followInside(
  links: LinkReader,
  bounds: LinkBounds,
  link: string,
): Promise<string | undefined> {
  const target = await links.realPath(link);
  if (target === undefined) return undefined;
  return isInside(bounds.root, target) || dirname(target) === bounds.blobs ? target : undefined;
}

/** Whether `path` lies below `folder`; both without links. */
function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && resolve(folder, way) === path;
}

/**
 * Where the file `path` of a dataset is to be written below `folder`: like `joinInside`, and no folder on the way
 * may be a link that leads out. The file itself may be one: exporting replaces names, it does not write through
 * them. Throws `UsageError`.
 */
export async function exportTarget(
  folder: string,
  path: string,
  links: LinkReader = nodeLinks,
): Promise<string> {
  const target = joinInside(folder, path);
  const root = await links.realPath(folder);
  if (root === undefined) return target;
  let parent = dirname(target);
  let real = await links.realPath(parent);
  while (real === undefined) {
    // A link that dangles has no real path, but making a folder at it would follow it.
    if ((await links.linksIn(dirname(parent))).includes(basename(parent))) {
      throw new UsageError("path", `${parent} is a link; nothing is exported through it`);
    }
    parent = dirname(parent);
    real = await links.realPath(parent);
  }
  if (real !== root && !isInside(root, real)) {
    throw new UsageError("path", `${parent} is a link out of ${folder}; nothing is exported through it`);
  }
  return target;
}
