/**
 * Opens a store: finds out what the directory is, creates what a new store needs, and brings the catalog up to the journal if a crash
 * left it behind.
 */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import {
  checkChunkElements,
  DEFAULT_CHUNK_ELEMENTS,
  equalBytes,
  findBuiltinPreset,
  MAX_HEADER_BYTES,
  NotFoundError,
  ready,
  StoreOpenError,
  UsageError,
} from "@tensorcask/codec";
import { Catalog } from "../catalog/catalog.ts";
import type { FileSystem } from "../files/file-system.ts";
import { LOCK_FILES, WriterLock } from "../files/lock.ts";
import { memoryFileSystem } from "../files/memory.ts";
import { nodeFileSystem } from "../files/node.ts";
import { ReserveFile } from "../files/reserve.ts";
import { STAGING_SUFFIX } from "../files/staging.ts";
import { Journal } from "../journal/journal.ts";
import { FilePackStorage } from "../pack/pack-storage.ts";
import { WorkerPool } from "../workers/pool.ts";
import { ChunkReader } from "./chunk-reader.ts";
import { Committer } from "./committer.ts";
import { type Formats, StoreContext, type StoreParts } from "./context.ts";
import { CATALOG_NAME, JOURNAL_NAME, PACKS_NAME, RESERVE_NAME } from "./layout.ts";
import { LAYOUT_BLOCK_BYTES } from "./layout-blocks.ts";
import { createMarker, type Marker, readMarker } from "./marker.ts";
import { checkOptionNames } from "./option-names.ts";
import { catchUp } from "./recovery.ts";
import { Store } from "./store.ts";
import type { OpenOptions } from "./types.ts";

const DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024;
const LEAST_MEMORY_BYTES = 32 * 1024 * 1024;
const DEFAULT_WAIT_MS = 60_000;
const MOST_WORKERS = 256;

/** Most memory that decoded chunks and SQLite pages may keep, in parts of the budget. */
const CACHE_SHARE = 1 / 8;
const MOST_CACHE_BYTES = 64 * 1024 * 1024;

/** Widest element: complex128. */
const WIDEST_ELEMENT_BYTES = 16;

const OPTION_NAMES: readonly string[] = [
  "preset",
  "create",
  "readOnly",
  "memoryBytes",
  "workers",
  "waitMs",
  "chunkElements",
  "fileSystem",
];

/**
 * Opens a store, or creates it. `":memory:"` keeps everything in memory. Tests make `layoutBlockBytes` small
 * (at least 16).
 */
export async function open(
  directory: string,
  options: OpenOptions,
  formats: Formats,
  layoutBlockBytes: number = LAYOUT_BLOCK_BYTES,
): Promise<Store> {
  checkOptions(options);
  await ready();
  const inMemory = directory === ":memory:";
  const root = inMemory ? "/memory" : resolve(directory);
  const files = options.fileSystem ?? (inMemory ? memoryFileSystem() : nodeFileSystem);
  const readOnly = options.readOnly === true;
  if (!inMemory) await refuseNetwork(files, root);
  const lock = inMemory ? WriterLock.inMemory() : WriterLock.open(root);
  const marker = await markerOf(files, root, lock, options);
  const memoryBytes = options.memoryBytes ?? DEFAULT_MEMORY_BYTES;
  const cacheBytes = Math.min(MOST_CACHE_BYTES, Math.floor(memoryBytes * CACHE_SHARE));
  const { catalog, journal, packs } = await openLayers(files, root, inMemory, readOnly, cacheBytes);
  const pool = new WorkerPool({
    workers: options.workers ?? availableParallelism(),
    memoryBytes,
    // A frame that did not shrink must fit in a slot, too.
    largestChunkBytes: marker.chunkElements * WIDEST_ELEMENT_BYTES + MAX_HEADER_BYTES,
  });
  const reserve = new ReserveFile(files, `${root}/${RESERVE_NAME}`);
  const reader = new ChunkReader({ catalog, packs, pool }, cacheBytes);
  const committer = new Committer(
    { catalog, journal, packs, lock, reserve },
    options.waitMs ?? DEFAULT_WAIT_MS,
  );
  const context = new StoreContext({
    directory: root,
    inMemory,
    readOnly,
    marker,
    files,
    userFiles: nodeFileSystem,
    lock,
    reserve,
    catalog,
    journal,
    packs,
    pool,
    reader,
    committer,
    formats,
    layoutBlockBytes,
  });
  try {
    await recover(context, options);
    const store = new Store(context);
    if (options.preset !== undefined && !readOnly && options.preset !== context.storePreset) {
      await store.setPreset(options.preset);
    }
    return store;
  } catch (error) {
    await context.close().catch(() => undefined);
    throw error;
  }
}

/** Opens what lies in the directory; closes what is open when something of it cannot be. */
async function openLayers(
  files: FileSystem,
  root: string,
  inMemory: boolean,
  readOnly: boolean,
  cacheBytes: number,
): Promise<Pick<StoreParts, "catalog" | "journal" | "packs">> {
  const catalog = Catalog.open(inMemory ? ":memory:" : `${root}/${CATALOG_NAME}`, { readOnly, cacheBytes });
  try {
    // Where the catalog stands is where the journal most likely ends: it need not be read from the start.
    const hint = catalog.position();
    const journal = await Journal.open(files, `${root}/${JOURNAL_NAME}`, { readOnly, hint });
    const packs = await FilePackStorage.open(files, `${root}/${PACKS_NAME}`, { readOnly });
    return { catalog, journal, packs };
  } catch (error) {
    catalog.close();
    throw error;
  }
}

/** Applies what a crash kept from the catalog; restores the reserve if there is room. */
async function recover(context: StoreContext, options: OpenOptions): Promise<void> {
  const { catalog, journal, committer, readOnly, reserve, inMemory } = context.parts;
  if (readOnly) return;
  const head = journal.position();
  const applied = catalog.position();
  if (head.sequence !== applied.sequence || !equalBytes(head.hash, applied.hash)) {
    await committer.exclusive(() => catchUp(context.parts, { recover: true }), { waitMs: options.waitMs });
  }
  if (!inMemory) await reserve.restore();
}

function checkOptions(options: OpenOptions): void {
  checkOptionNames(options, OPTION_NAMES, "openStore");
  const { memoryBytes, workers, waitMs, chunkElements } = options;
  if (chunkElements !== undefined) checkChunkElements(chunkElements);
  if (memoryBytes !== undefined && !(memoryBytes >= LEAST_MEMORY_BYTES)) {
    throw new UsageError(
      "memoryBytes",
      `memoryBytes is ${memoryBytes}; at least ${LEAST_MEMORY_BYTES} (32 MiB) are needed`,
    );
  }
  if (workers !== undefined && !(Number.isInteger(workers) && workers >= 0 && workers <= MOST_WORKERS)) {
    throw new UsageError("workers", `workers is ${workers}; it must be an integer from 0 to ${MOST_WORKERS}`);
  }
  if (waitMs !== undefined && !(waitMs >= 0))
    throw new UsageError("waitMs", `waitMs is ${waitMs}; it must not be negative`);
}

/** Locks and fsync cannot be trusted there, and two machines would write one store. */
async function refuseNetwork(files: FileSystem, root: string): Promise<void> {
  const kind = await files.networkKind(root);
  if (kind === undefined) return;
  throw new StoreOpenError(
    root,
    "network-file-system",
    `it is on a network file system (${kind}), where locks and fsync cannot be trusted; use a local disk, and serve it to others`,
  );
}

async function markerOf(
  files: FileSystem,
  root: string,
  lock: WriterLock,
  options: OpenOptions,
): Promise<Marker> {
  const found = await readMarker(files, root);
  if (found !== undefined) {
    checkGeometry(found, options, root);
    return found;
  }
  await refuseForeign(files, root);
  if (options.readOnly === true || options.create === false) {
    throw new StoreOpenError(root, "missing", "there is no store here");
  }
  const { preset } = options;
  if (preset !== undefined && findBuiltinPreset(preset) === undefined) {
    throw new NotFoundError("preset", preset, "a new store has the built-in ones only");
  }
  await files.makeDirectory(root);
  // Two processes may create the same store at once: whoever comes second finds the marker.
  const lease = await lock.acquire({ waitMs: options.waitMs ?? DEFAULT_WAIT_MS });
  try {
    const other = await readMarker(files, root);
    if (other !== undefined) {
      checkGeometry(other, options, root);
      return other;
    }
    await files.makeDirectory(`${root}/${JOURNAL_NAME}`);
    await files.makeDirectory(`${root}/${PACKS_NAME}`);
    return await createMarker(files, root, options.chunkElements ?? DEFAULT_CHUNK_ELEMENTS);
  } finally {
    lease.release();
  }
}

function checkGeometry(marker: Marker, options: OpenOptions, root: string): void {
  const { chunkElements } = options;
  if (chunkElements === undefined || chunkElements === marker.chunkElements) return;
  throw new StoreOpenError(
    root,
    "incompatible",
    `its chunks have ${marker.chunkElements} elements, not ${chunkElements}; that is fixed for a store's life`,
  );
}

/** A directory that holds anything but the beginnings of a store is left alone. */
async function refuseForeign(files: FileSystem, root: string): Promise<void> {
  const status = await files.stat(root);
  if (status === undefined) return;
  if (status.kind !== "directory") throw new StoreOpenError(root, "not-a-store", "it is not a directory");
  const ours = new Set([...LOCK_FILES, JOURNAL_NAME, PACKS_NAME]);
  // Half-written files are what a crash left of the creation of a store.
  const others = (await files.list(root)).filter(
    ({ name }) => !ours.has(name) && !name.startsWith(".") && !name.endsWith(STAGING_SUFFIX),
  );
  if (others.length > 0) {
    const some = others.slice(0, 3).map(({ name }) => name);
    throw new StoreOpenError(
      root,
      "not-a-store",
      `it is not a store and not empty (${some.join(", ")}, ...); choose another directory`,
    );
  }
}
