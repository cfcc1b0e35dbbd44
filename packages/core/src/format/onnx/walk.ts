/**
 * Walks the messages of a protobuf file. Which nested messages are entered and which texts are read is up to
 * visitors, one for each message; everything else is passed over unread. The messages that are open stand on a
 * stack of our own, so that no file can exhaust JavaScript's.
 */
import type { Source } from "../../model/plan.ts";
import { LENGTH_DELIMITED, VARINT, WireReader } from "./wire.ts";

/** Messages may nest this deep: protobuf's own limit, so deeper files cannot be read elsewhere either. */
export const MAX_MESSAGE_DEPTH = 100;

/** What to do with a length-delimited field: enter it, read it as text or as packed varints, or pass over it. */
export type Step = MessageVisitor | "text" | "varints" | undefined;

/**
 * What becomes of the fields of one message. Unknown fields, and known ones of a wire type that they do not have,
 * are passed over, as protobuf does.
 */
export interface MessageVisitor {
  /** A varint, as two unsigned halves of 32 bits. */
  varint?(field: number, low: number, high: number): void;
  /** A value of 4 or 8 bytes (`wireType`). */
  fixed?(field: number, wireType: number): void;
  /** A length-delimited value, `bytes` long, at `offset`. Text has at most `MAX_TEXT_BYTES`. */
  bytes?(field: number, offset: number, bytes: number): Step;
  text?(field: number, text: string): void;
  /** The message is over. */
  end?(): void;
}

/**
 * Walks a source that is one message. Throws `InvalidFileError`: rules `truncated`, `varint`, `field-number`,
 * `wire-type`, `nesting`, and whatever the visitors refuse.
 */
export async function walkMessages(source: Source, root: MessageVisitor): Promise<void> {
  const reader = new WireReader(source);
  const open: { readonly visitor: MessageVisitor; readonly end: number }[] = [];
  let visitor = root;
  let end = source.bytes;
  for (;;) {
    if (reader.position === end) {
      visitor.end?.();
      const outer = open.pop();
      if (outer === undefined) return;
      ({ visitor, end } = outer);
      continue;
    }
    if (reader.lacks()) await reader.fill();
    const at = reader.position;
    reader.tag(end);
    const { field, wireType } = reader;
    if (wireType === VARINT) {
      reader.varint(end);
      visitor.varint?.(field, reader.low, reader.high);
      continue;
    }
    if (wireType !== LENGTH_DELIMITED) {
      reader.fixed(end);
      visitor.fixed?.(field, wireType);
      continue;
    }
    const bytes = reader.length(end);
    const step = visitor.bytes?.(field, reader.position, bytes);
    if (step === undefined) {
      reader.position += bytes;
    } else if (step === "text") {
      if (reader.lacks(bytes)) await reader.fill(bytes);
      visitor.text?.(field, reader.text(bytes));
    } else if (step === "varints") {
      const last = reader.position + bytes;
      while (reader.position < last) {
        if (reader.lacks()) await reader.fill();
        reader.varint(last);
        visitor.varint?.(field, reader.low, reader.high);
      }
    } else {
      if (open.length === MAX_MESSAGE_DEPTH) {
        throw reader.invalid("nesting", at, `messages nest deeper than ${MAX_MESSAGE_DEPTH} levels`);
      }
      open.push({ visitor, end });
      visitor = step;
      end = reader.position + bytes;
    }
  }
}
