/**
 * Appends frames to one pack. A pack of an import is written under a staging name, without the lock, and gets
 * its own name when it is sealed; a tail pack has its name from the start and is appended to in place, under
 * the lock: what counts is how far the journal says it is committed.
 *
 * After a write or sync that failed, nobody knows what is on the disk: the writer refuses further use, and
 * its caller starts another pack. (The system may report a failed sync once only and then drop the pages, so
 * that trying again lies.)
 */
import { dirname } from "node:path";
import { ClosedError } from "@tensorcask/codec";
import type { FileSystem, OpenFile } from "../files/file-system.ts";
import { readExactly } from "./open-packs.ts";
import { PACK_BYTES } from "./pack-header.ts";

/**
 * Frames up to this size are put together and written at once; longer ones are written from where they lie.
 */
const JOIN_BYTES = 256 * 1024;

/** What a writer is made of. `path` is the staging path of an import pack until it is sealed. */
export interface PackWriterParts {
  readonly files: FileSystem;
  readonly file: OpenFile;
  readonly name: string;
  readonly tail: boolean;
  readonly path: string;
  readonly finalPath: string;
  /** Where the next frame goes. */
  readonly bytes: number;
}

/** An open pack. Calls must not overlap, but for `read`. */
export class PackWriter {
  /** Name of the pack, as the journal has it. */
  readonly name: string;
  /** Whether small commits append to it in place. */
  readonly tail: boolean;
  readonly #files: FileSystem;
  readonly #file: OpenFile;
  readonly #path: string;
  readonly #finalPath: string;
  #bytes: number;
  #failure: unknown;
  #state: "open" | "sealed" | "closed" = "open";

  constructor(parts: PackWriterParts) {
    this.name = parts.name;
    this.tail = parts.tail;
    this.#files = parts.files;
    this.#file = parts.file;
    this.#path = parts.path;
    this.#finalPath = parts.finalPath;
    this.#bytes = parts.bytes;
  }

  /** Length so far, header included: where the next frame goes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the pack is long enough to be sealed. */
  get full(): boolean {
    return this.#bytes >= PACK_BYTES;
  }

  /** Whether the pack is durable under its own name. The writer can read nothing back any more then. */
  get sealed(): boolean {
    return this.#state === "sealed";
  }

  /** Whether an earlier failure made this writer useless. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Appends frames, in order and without gaps. Not durable before `sync` or `seal`. */
  async append(frames: readonly Uint8Array[]): Promise<{ offset: number; bytes: number }> {
    const offset = this.#bytes;
    await this.#try(async () => {
      let end = offset;
      for (const piece of joined(frames)) {
        await this.#file.write(piece, end);
        end += piece.length;
      }
      this.#bytes = end;
    });
    return { offset, bytes: this.#bytes - offset };
  }

  /** Reads back what was appended at `offset`. May be called while frames are appended. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    await readExactly(this.#file, into, offset, this.name);
  }

  /** Makes everything appended so far durable. */
  sync(): Promise<void> {
    return this.#try(() => this.#file.sync());
  }

  /** Makes the pack durable, gives an import pack its own name, and closes it. */
  async seal(): Promise<void> {
    await this.#try(async () => {
      await this.#file.sync();
      if (this.#path !== this.#finalPath) {
        await this.#files.rename(this.#path, this.#finalPath);
        await this.#files.syncDirectory(dirname(this.#finalPath));
      }
    });
    this.#state = "sealed";
    await this.#file.close();
  }

  /** Closes the pack and leaves the file as it is. */
  async close(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "closed";
    await this.#file.close();
  }

  /** Closes the pack; an import pack that was not sealed is removed. */
  async discard(): Promise<void> {
    const unsealed = this.#state !== "sealed" && this.#path !== this.#finalPath;
    await this.close();
    if (unsealed) await this.#files.unlink(this.#path);
  }

  async #try(action: () => Promise<void>): Promise<void> {
    if (this.#state !== "open") throw new ClosedError(`pack ${this.name}`);
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await action();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}

/** The same bytes in fewer pieces. */
function* joined(frames: readonly Uint8Array[]): Generator<Uint8Array> {
  let group: Uint8Array[] = [];
  let groupBytes = 0;
  const flush = function* (): Generator<Uint8Array> {
    if (group.length === 1) yield group[0]!;
    else if (groupBytes > 0) {
      const piece = new Uint8Array(groupBytes);
      let at = 0;
      for (const frame of group) {
        piece.set(frame, at);
        at += frame.length;
      }
      yield piece;
    }
    group = [];
    groupBytes = 0;
  };
  for (const frame of frames) {
    if (groupBytes > 0 && groupBytes + frame.length > JOIN_BYTES) yield* flush();
    group.push(frame);
    groupBytes += frame.length;
  }
  yield* flush();
}
