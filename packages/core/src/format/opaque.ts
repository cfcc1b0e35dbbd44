/** Files that no format knows: their bytes are one literal, cut by content when they are stored. */
import type { Format } from "./format.ts";

/** Takes every file. An empty file has no parts. */
export const opaque: Format = {
  id: "opaque",
  matches: () => "content",
  async plan(source) {
    return { parts: source.bytes === 0 ? [] : [{ kind: "literal", offset: 0, bytes: source.bytes }] };
  },
};
