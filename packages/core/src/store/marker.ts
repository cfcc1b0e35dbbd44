/**
 * The marker file `tensorcask.json`: tells that a directory is a store, of which format version, and what is fixed for its life.
 * It is written once, when the store is created; without it nothing else in the directory counts.
 */
import { randomBytes } from "node:crypto";
import { checkChunkElements, DEFAULT_CHUNK_ELEMENTS, StoreOpenError } from "@tensorcask/codec";
import type { FileSystem } from "../files/file-system.ts";

/** Version of all formats in the directory. It becomes 1 when the fault tests pass. */
export const FORMAT_VERSION = 0;

export const MARKER_NAME = "tensorcask.json";

/** A marker is a few hundred bytes; anything larger is not one. */
const MAX_MARKER_BYTES = 65_536;

export interface Marker {
  readonly format: "tensorcask";
  readonly version: number;
  /** 32 hex digits; tells stores apart. */
  readonly id: string;
  readonly chunkElements: number;
  readonly created: string;
}

/** Writes the marker of a new store. */
export async function createMarker(
  files: FileSystem,
  directory: string,
  chunkElements: number = DEFAULT_CHUNK_ELEMENTS,
): Promise<Marker> {
  checkChunkElements(chunkElements);
  const marker: Marker = {
    format: "tensorcask",
    version: FORMAT_VERSION,
    id: randomBytes(16).toString("hex"),
    chunkElements,
    created: new Date().toISOString(),
  };
  await files.writeWhole(
    `${directory}/${MARKER_NAME}`,
    new TextEncoder().encode(`${JSON.stringify(marker, null, 2)}\n`),
  );
  return marker;
}

/** Reads a directory's marker; undefined when it has none. Throws `StoreOpenError` when it is damaged or newer than this version. */
export async function readMarker(files: FileSystem, directory: string): Promise<Marker | undefined> {
  const path = `${directory}/${MARKER_NAME}`;
  let marker: Partial<Marker>;
  try {
    const bytes = await files.readWhole(path, MAX_MARKER_BYTES);
    if (bytes === undefined) return undefined;
    marker = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as Partial<Marker>;
  } catch (cause) {
    throw new StoreOpenError(directory, "damaged", `its ${MARKER_NAME} cannot be read`, { cause });
  }
  if (marker === null || typeof marker !== "object" || marker.format !== "tensorcask") {
    throw new StoreOpenError(directory, "not-a-store", `its ${MARKER_NAME} is not Tensorcask's`);
  }
  if (
    !Number.isInteger(marker.version) ||
    typeof marker.id !== "string" ||
    !Number.isInteger(marker.chunkElements)
  ) {
    throw new StoreOpenError(directory, "damaged", `its ${MARKER_NAME} lacks version, id or chunkElements`);
  }
  if (marker.version! > FORMAT_VERSION) {
    throw new StoreOpenError(
      directory,
      "newer-format",
      `it has format version ${marker.version}; this Tensorcask knows up to ${FORMAT_VERSION}: update it`,
    );
  }
  try {
    checkChunkElements(marker.chunkElements!);
  } catch (cause) {
    throw new StoreOpenError(directory, "damaged", `its ${MARKER_NAME} has an impossible chunkElements`, {
      cause,
    });
  }
  return marker as Marker;
}
