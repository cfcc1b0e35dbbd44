/** Node: modules lie beside the source, as files. */
import { readFile } from "node:fs/promises";

/** The bytes of the module at `url`. */
export async function loadBytes(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await readFile(url));
}
