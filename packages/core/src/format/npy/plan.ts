/**
 * The format `npy`: one array, named after its file; or Python objects, whose arrays have the names of the way to
 * them. The header is a literal, kept bit for bit.
 */
import { parse } from "node:path";
import type { Source } from "../../model/plan.ts";
import type { Format } from "../format.ts";
import { planObjectArray } from "../pickle/object-array.ts";
import { npyArray, npyErrors } from "./array.ts";
import { isObjectDescr } from "./descr.ts";
import { isNpy, readNpyHeader } from "./header.ts";

/** NumPy arrays, by the extension or by the first bytes. */
export const npy: Format = {
  id: "npy",
  matches(name, head) {
    if (/\.npy$/i.test(name)) return "name";
    return isNpy(head) ? "content" : undefined;
  },
  async plan(source) {
    const error = npyErrors(source.name);
    const header = await readNpyHeader((bytes) => startOf(source, bytes), error);
    if (isObjectDescr(header.descr)) return planObjectArray(source, header.headerBytes);
    const array = npyArray(header, source.bytes, error);
    const name = parse(source.name).name;
    return {
      parts: [
        { kind: "literal", offset: 0, bytes: array.offset },
        { kind: "tensor", name, ...array },
      ],
    };
  },
};

async function startOf(source: Source, bytes: number): Promise<Uint8Array> {
  const start = new Uint8Array(Math.min(bytes, source.bytes));
  await source.read(start, 0);
  return start;
}
