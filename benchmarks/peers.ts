/**
 * What people would use instead, in the same run: zstd and gzip from node:zlib, one thread each, over the whole file as one stream in blocks of
 * 4 MiB; and a plain copy, which nothing that writes a file can beat. Like an import, what they write is on the disk when they are done.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { type Transform, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from "node:zlib";

const BLOCK_BYTES = 4 * 2 ** 20;

export interface Peer {
  readonly name: string;
  compressor(fileBytes: number): Transform;
  decompressor(): Transform;
}

function zstd(level: number): Peer {
  return {
    name: `zstd -${level}`,
    compressor: (fileBytes) =>
      createZstdCompress({
        chunkSize: BLOCK_BYTES,
        pledgedSrcSize: fileBytes,
        params: { [constants.ZSTD_c_compressionLevel]: level },
      }),
    decompressor: () => createZstdDecompress({ chunkSize: BLOCK_BYTES }),
  };
}

export const zstd3: Peer = zstd(3);
export const zstd19: Peer = zstd(19);
export const gzip6: Peer = {
  name: "gzip -6",
  compressor: () => createGzip({ level: 6, chunkSize: BLOCK_BYTES }),
  decompressor: () => createGunzip({ chunkSize: BLOCK_BYTES }),
};

/** Writes what the steps make of a file, and waits until it is on the disk. */
async function through(from: string, steps: readonly Transform[], to: string): Promise<void> {
  const input = createReadStream(from, { highWaterMark: BLOCK_BYTES });
  const output = createWriteStream(to, { highWaterMark: BLOCK_BYTES, flush: true });
  await pipeline([input, ...steps, output]);
}

/** Compresses a file into another. */
export async function compressFile(peer: Peer, from: string, to: string): Promise<void> {
  const { size } = await stat(from);
  await through(from, [peer.compressor(size)], to);
}

/** Restores a compressed file. */
export async function decompressFile(peer: Peer, from: string, to: string): Promise<void> {
  await through(from, [peer.decompressor()], to);
}

/** Decompresses into nothing: what reading all of it costs. Gives the bytes that came out. */
export async function decompressAway(peer: Peer, from: string): Promise<number> {
  const sink = new CountingSink();
  await pipeline(createReadStream(from, { highWaterMark: BLOCK_BYTES }), peer.decompressor(), sink);
  return sink.bytes;
}

/** Bytes of a file once compressed; nothing is written. */
export async function compressedBytes(peer: Peer, from: string): Promise<number> {
  const { size } = await stat(from);
  const sink = new CountingSink();
  await pipeline(createReadStream(from, { highWaterMark: BLOCK_BYTES }), peer.compressor(size), sink);
  return sink.bytes;
}

class CountingSink extends Writable {
  bytes = 0;

  constructor() {
    super({ highWaterMark: BLOCK_BYTES });
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.bytes += chunk.length;
    done();
  }
}

/** The floor: reads a file in blocks and writes them, and waits until they are on the disk. */
export async function copyFile(from: string, to: string): Promise<void> {
  const input = await open(from, "r");
  const output = await open(to, "w");
  try {
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    for (let at = 0; ; ) {
      const { bytesRead } = await input.read(block, 0, BLOCK_BYTES, at);
      if (bytesRead === 0) break;
      await output.write(block, 0, bytesRead, at);
      at += bytesRead;
    }
    await output.sync();
  } finally {
    await input.close();
    await output.close();
  }
}

/** Reads a file in blocks, into nothing. */
export async function readAway(from: string): Promise<void> {
  const input = await open(from, "r");
  try {
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    for (let at = 0; ; ) {
      const { bytesRead } = await input.read(block, 0, BLOCK_BYTES, at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
  } finally {
    await input.close();
  }
}
