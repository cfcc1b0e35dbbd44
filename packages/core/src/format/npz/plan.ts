/**
 * The format `npz`: a zip archive of .npy files, as `np.savez` writes it. A stored array is a byte range of the
 * archive; one that is deflated is derived. Everything else (zip headers, other members, arrays of text or Python
 * objects) stays literal, so that export gives the archive back bit for bit.
 */
import type { DerivedTensor, PlanPart, Source } from "../../model/plan.ts";
import type { Format, FormatPlan } from "../format.ts";
import { type NpyArray, npyErrors, readNpyArray } from "../npy/array.ts";
import { readZipDirectory, type ZipEntry } from "../zip/directory.ts";
import { entryStart } from "../zip/elements.ts";
import { LOCAL_HEADER, LOCAL_HEADER_BYTES } from "../zip/records.ts";
import { deflatedArray } from "./deflated.ts";

/** Rules whose breach means "an array, but no tensor": such a member is kept as the bytes it is. */
const NO_TENSOR: ReadonlySet<string> = new Set(["dtype", "object"]);

const EXTENSION = ".npy";

/** NumPy archives, by the extension or by a zip archive that begins with an array. */
export const npz: Format = {
  id: "npz",
  matches(name, head) {
    if (/\.npz$/i.test(name)) return "name";
    return beginsWithArray(head) ? "content" : undefined;
  },
  async plan(source) {
    const tensors: (PlanPart & { kind: "tensor" })[] = [];
    const derived: DerivedTensor[] = [];
    const kept: Record<string, string> = {};
    for (const entry of await readZipDirectory(source)) {
      if (!entry.name.endsWith(EXTENSION)) continue;
      const name = entry.name.slice(0, -EXTENSION.length);
      const array = await readMember(source, entry, name);
      if (typeof array === "string") kept[entry.name] = array;
      else if (entry.method === "deflate") derived.push(deflatedArray(source.name, name, entry, array));
      else tensors.push({ kind: "tensor", name, ...array, offset: entry.dataOffset + array.offset });
    }
    return planOf(source.bytes, tensors, derived, kept);
  },
};

/** A member's array, or a sentence on why it is no tensor. */
async function readMember(source: Source, entry: ZipEntry, name: string): Promise<NpyArray | string> {
  const makeError = npyErrors(source.name, name);
  let reason: string | undefined;
  try {
    return await readNpyArray(
      entry.bytes,
      (bytes) => entryStart(source, entry, bytes),
      (rule, message, remedy) => {
        if (NO_TENSOR.has(rule)) reason = message;
        return makeError(rule, message, remedy);
      },
    );
  } catch (error) {
    if (reason === undefined) throw error;
    return reason;
  }
}

/** Fills what lies between the tensors with literals. */
function planOf(
  fileBytes: number,
  tensors: readonly (PlanPart & { kind: "tensor" })[],
  derived: readonly DerivedTensor[],
  kept: Readonly<Record<string, string>>,
): FormatPlan {
  const parts: PlanPart[] = [];
  let reached = 0;
  for (const tensor of tensors) {
    parts.push({ kind: "literal", offset: reached, bytes: tensor.offset - reached }, tensor);
    reached = tensor.offset + tensor.bytes;
  }
  parts.push({ kind: "literal", offset: reached, bytes: fileBytes - reached });
  const metadata = Object.keys(kept).length > 0 ? { metadata: { keptAsBytes: kept } } : {};
  return { parts, ...(derived.length > 0 && { derived }), ...metadata };
}

function beginsWithArray(head: Uint8Array): boolean {
  if (head.length < LOCAL_HEADER_BYTES) return false;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (view.getUint32(0, true) !== LOCAL_HEADER) return false;
  const name = head.subarray(LOCAL_HEADER_BYTES, LOCAL_HEADER_BYTES + view.getUint16(26, true));
  return Buffer.from(name).toString("latin1").endsWith(EXTENSION);
}
