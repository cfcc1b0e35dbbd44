/**
 * The format `safetensors`: the header is one literal, kept bit for bit; every tensor is a part, in the order of
 * the data. Tensors that a store exported have the metadata of their records again.
 */

import type { PlanPart } from "../../model/plan.ts";
import type { Format, FormatPlan } from "../format.ts";
import { recordsOf } from "../kept-metadata.ts";
import { LENGTH_BYTES, MAX_HEADER_BYTES, readSafetensorsHeader, type SafetensorsHeader } from "./header.ts";

/** The parts of a file with this header. Pure. */
export function planSafetensors(header: SafetensorsHeader): FormatPlan {
  const parts: PlanPart[] = [{ kind: "literal", offset: 0, bytes: header.headerBytes }];
  const records = recordsOf(header.metadata);
  for (const { name, dtype, shape, offset, bytes } of header.tensors) {
    const metadata = records?.get(name);
    parts.push({
      kind: "tensor",
      name,
      dtype,
      shape,
      offset,
      bytes,
      ...(metadata !== undefined && { metadata }),
    });
  }
  return header.metadata === undefined ? { parts } : { parts, metadata: header.metadata };
}

/** Safetensors files, by the extension or by a header that starts like one. */
export const safetensors: Format = {
  id: "safetensors",
  matches(name, head) {
    if (/\.safetensors$/i.test(name)) return "name";
    return looksLikeHeader(head) ? "content" : undefined;
  },
  async plan(source) {
    return planSafetensors(await readSafetensorsHeader(source));
  },
};

/** A plausible length, then `{"` or `{}`. */
function looksLikeHeader(head: Uint8Array): boolean {
  if (head.length < LENGTH_BYTES + 2) return false;
  const length = new DataView(head.buffer, head.byteOffset).getBigUint64(0, true);
  if (length < 2n || length > BigInt(MAX_HEADER_BYTES)) return false;
  const [brace, next] = head.subarray(LENGTH_BYTES);
  return brace === 0x7b && (next === 0x22 || next === 0x7d);
}
