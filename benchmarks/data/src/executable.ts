/** Machine code, which nobody can make up: the first bytes of the running Node, or of a system library where that cannot be read. */
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Kind, opaque, type Sample } from "./sample.ts";

const libraryFolders = ["/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];

/** The first file with this many bytes, or else the largest one; undefined where none can be read. */
function findExecutable(bytes: number): string | undefined {
  const libraries = libraryFolders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => /\.so(\.|$)/.test(name))
        .sort()
        .map((name) => join(folder, name)),
    );
  const files = [process.execPath, ...libraries].flatMap((path) => {
    const status = statSync(path, { throwIfNoEntry: false });
    return status?.isFile() ? [{ path, size: status.size }] : [];
  });
  const enough = files.find(({ size }) => size >= bytes);
  return (enough ?? files.toSorted((a, b) => b.size - a.size)[0])?.path;
}

function executable(bytes: number): Sample | undefined {
  const path = findExecutable(bytes);
  if (path === undefined) return undefined;
  const data = new Uint8Array(bytes);
  const file = openSync(path, "r");
  try {
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes; length += read) {
      read = readSync(file, data, length, bytes - length, length);
    }
    return opaque(data.subarray(0, length));
  } finally {
    closeSync(file);
  }
}

export const executableKind: Kind = {
  name: "executable",
  description: "machine code found here: the running Node, or a system library",
  origin: "machine",
  generate: (_seed, bytes) => executable(bytes),
};
