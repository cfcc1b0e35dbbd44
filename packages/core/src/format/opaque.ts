/** Files that no format knows: their bytes are one literal, cut by content when they are stored. */
import { OPAQUE_FORMAT, opaqueParts } from "../model/plan.ts";
import type { Format } from "./format.ts";

/** Takes every file. An empty file has no parts. */
export const opaque: Format = {
  id: OPAQUE_FORMAT,
  matches: () => "content",
  async plan(source) {
    return { parts: opaqueParts(source.bytes) };
  },
};
