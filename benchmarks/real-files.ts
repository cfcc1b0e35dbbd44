/**
 * The real weights that benchmarks run on: the collection beside the repository, or where `TENSORCASK_DATA` says, or else the
 * small models of examples/data. Seeded data is in data/ and normal.ts.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";

const repository = join(import.meta.dirname, "..");

export interface RealModel {
  /** Short name for tables. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  /** Models of one family were trained from each other, or are versions of one model. */
  readonly family: string;
}

export interface RealModels {
  /** Which collection was found, in words. */
  readonly source: string;
  /** By family, in the order in which a family would be imported. */
  readonly models: readonly RealModel[];
}

const collections: readonly { readonly source: string; readonly directory: string | undefined }[] = [
  { source: "the collection that TENSORCASK_DATA names", directory: process.env.TENSORCASK_DATA },
  {
    source: "the collection beside the repository (shared/data)",
    directory: join(repository, "..", "shared", "data"),
  },
  { source: "the repository's examples/data", directory: join(repository, "examples", "data") },
];

/** Folders of models trained from each other, in the order of training. */
const trainedFolders: readonly { readonly folder: string; readonly order: readonly string[] }[] = [
  { folder: "trained", order: ["base-step-a", "base", "ft-full"] },
  { folder: "trained-small", order: ["base", "ft-full", "ft-lora-merged"] },
  { folder: ".", order: ["base", "ft-full", "ft-lora-merged"] },
];

const EXTENSION = ".safetensors";

/** Finds the real models, and says where. */
export function findRealModels(): RealModels {
  for (const { source, directory } of collections) {
    if (directory === undefined || directory === "" || !existsSync(directory)) continue;
    const models = [...trainedModels(directory), ...publicModels(join(directory, "public"))];
    if (models.length > 0) return { source, models };
  }
  throw new Error("there are no models to measure: examples/data is missing");
}

/** Notes and licences that lie beside the weights. */
const notWeights = /(^|\/)(licences\/|[^/]*\.(md|txt|tsv)$)/i;

/** Every file of the collection, of whatever format, in the order of their paths; `family` is the folder or the part of the name before `__`. */
export function findRealFiles(): RealModels {
  for (const { source, directory } of collections) {
    if (directory === undefined || directory === "" || !existsSync(directory)) continue;
    const paths = readdirSync(directory, { recursive: true, encoding: "utf8" })
      .map((path) => path.replaceAll("\\", "/"))
      .filter((path) => !notWeights.test(path) && statSync(join(directory, path)).isFile())
      .sort();
    if (paths.length === 0) continue;
    const models = paths.map((path) => {
      const name = path.replace(/^public\//, "");
      return model(name, join(directory, path), name.split(/__|\//)[0]!);
    });
    return { source, models };
  }
  throw new Error("there are no files to measure: examples/data is missing");
}

function model(name: string, path: string, family: string): RealModel {
  return { name, path, bytes: statSync(path).size, family };
}

function trainedModels(directory: string): RealModel[] {
  return trainedFolders.flatMap(({ folder, order }) =>
    order
      .map((name) => ({ name, path: join(directory, folder, name, `model${EXTENSION}`) }))
      .filter(({ path }) => existsSync(path))
      .map(({ name, path }) => {
        const family = folder === "." ? "examples" : folder;
        return model(`${family}/${name}`, path, family);
      }),
  );
}

/** Files are called `family__model.safetensors`. */
function publicModels(directory: string): RealModel[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((file) => file.endsWith(EXTENSION))
    .sort()
    .map((file) => model(basename(file, EXTENSION), join(directory, file), file.split("__")[0]!));
}
