/** A file system that counts what is read through it: how much of the disk a slice touches, whatever the page cache does. */
import { type FileSystem, nodeFileSystem, type OpenFile } from "@tensorcask/core";

export interface ReadCounter {
  readonly fileSystem: FileSystem;
  reads: number;
  bytes: number;
}

export function readCounter(inner: FileSystem = nodeFileSystem): ReadCounter {
  const counter: ReadCounter = {
    reads: 0,
    bytes: 0,
    fileSystem: {
      ...inner,
      async open(path, mode) {
        return counted(await inner.open(path, mode), counter);
      },
    },
  };
  return counter;
}

function counted(file: OpenFile, counter: ReadCounter): OpenFile {
  return {
    async read(into, position) {
      const bytes = await file.read(into, position);
      counter.reads += 1;
      counter.bytes += bytes;
      return bytes;
    },
    write: (bytes, position) => file.write(bytes, position),
    sync: () => file.sync(),
    truncate: (bytes) => file.truncate(bytes),
    size: () => file.size(),
    close: () => file.close(),
  };
}
