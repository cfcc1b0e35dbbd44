/**
 * All commands: name, one line of summary, and how to load the rest. A command's file is imported when the command is used, so that
 * `--help` and small commands need not read all of them.
 */
import type { Define } from "./command.ts";

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  /** Heading in the list of commands. */
  readonly group: string;
  load(): Promise<{ readonly define: Define }>;
}

const inAndOut = "Files in and out:";
const contents = "What is in it:";
const codings = "Presets and sizes:";
const versions = "Versions:";
const care = "Care of the store:";

/** In the order of `tensorcask --help`. */
export const commands: readonly CommandEntry[] = [
  {
    name: "import",
    summary: "import files or directories into a dataset",
    group: inAndOut,
    load: () => import("./commands/import.ts"),
  },
  {
    name: "export",
    summary: "write files back, bit for bit, or records into a new file",
    group: inAndOut,
    load: () => import("./commands/export.ts"),
  },
  {
    name: "get",
    summary: "print a tensor or a slice of it, or write it to a file",
    group: inAndOut,
    load: () => import("./commands/get.ts"),
  },
  {
    name: "put",
    summary: "insert the tensors of a file or a pipe as records",
    group: inAndOut,
    load: () => import("./commands/put.ts"),
  },
  {
    name: "convert",
    summary: "write the tensors of files into one file of another format",
    group: inAndOut,
    load: () => import("./commands/convert.ts"),
  },
  {
    name: "compress",
    summary: "compress one file, or a pipe, without a store",
    group: inAndOut,
    load: () => import("./commands/compress.ts"),
  },
  {
    name: "decompress",
    summary: "give back what compress made, bit for bit",
    group: inAndOut,
    load: () => import("./commands/decompress.ts"),
  },
  {
    name: "create",
    summary: "create an empty dataset",
    group: contents,
    load: () => import("./commands/create.ts"),
  },
  {
    name: "ls",
    summary: "list datasets, or the records or files of one",
    group: contents,
    load: () => import("./commands/ls.ts"),
  },
  {
    name: "set",
    summary: "change metadata, schema and indexes of a dataset",
    group: contents,
    load: () => import("./commands/set.ts"),
  },
  {
    name: "mv",
    summary: "rename a dataset, or a record in it",
    group: contents,
    load: () => import("./commands/mv.ts"),
  },
  {
    name: "rm",
    summary: "delete a dataset, or records or files of it",
    group: contents,
    load: () => import("./commands/rm.ts"),
  },
  {
    name: "presets",
    summary: "list, define and remove presets",
    group: codings,
    load: () => import("./commands/presets.ts"),
  },
  {
    name: "preset",
    summary: "show or switch the preset of a dataset or of the store",
    group: codings,
    load: () => import("./commands/preset.ts"),
  },
  {
    name: "recompress",
    summary: "code stored chunks anew with a preset's codec",
    group: codings,
    load: () => import("./commands/recompress.ts"),
  },
  {
    name: "stats",
    summary: "say what the store or a dataset costs, and what each layer saves",
    group: codings,
    load: () => import("./commands/stats.ts"),
  },
  {
    name: "bench",
    summary: "measure what presets and codecs make of a file, or of a kind of data",
    group: codings,
    load: () => import("./commands/bench.ts"),
  },
  {
    name: "tag",
    summary: "name a version, or list, move and delete such names",
    group: versions,
    load: () => import("./commands/tag.ts"),
  },
  {
    name: "log",
    summary: "list the versions of a dataset",
    group: versions,
    load: () => import("./commands/log.ts"),
  },
  {
    name: "diff",
    summary: "say what two datasets or versions have in common, tensor by tensor",
    group: versions,
    load: () => import("./commands/diff.ts"),
  },
  {
    name: "rollback",
    summary: "append a version that equals an old one",
    group: versions,
    load: () => import("./commands/rollback.ts"),
  },
  {
    name: "prune",
    summary: "expire old versions",
    group: versions,
    load: () => import("./commands/prune.ts"),
  },
  {
    name: "verify",
    summary: "check every stored byte, or compare a dataset with its originals",
    group: care,
    load: () => import("./commands/verify.ts"),
  },
  {
    name: "gc",
    summary: "free what nothing refers to any more",
    group: care,
    load: () => import("./commands/gc.ts"),
  },
  {
    name: "optimize",
    summary: "choose anew which tensors are stored as differences to which",
    group: care,
    load: () => import("./commands/optimize.ts"),
  },
  {
    name: "rebuild",
    summary: "build the catalog anew from the journal",
    group: care,
    load: () => import("./commands/rebuild.ts"),
  },
];
