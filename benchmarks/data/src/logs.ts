/**
 * A binary log: records of 48 bytes, little-endian, as a tracer writes its structs.
 *
 *    0  u64  nanoseconds
 *    8  u32  number of the record
 *   12  u16  event, one of 60, the frequent ones first
 *   14  u8   level;  15  u8  core
 *   16  u32  thread, one of 40
 *   20  u32  bytes that the event was about
 *   24  u64  address: one of a few hundred places in an arena
 *   32  f64  milliseconds that it took, in steps of a microsecond
 *   40  u64  zero
 */
import { randomBelow, randomWords, weighted } from "./random.ts";
import { type Kind, opaque } from "./sample.ts";

const RECORD_BYTES = 48;
const EVENTS = 60;
const THREADS = 40;
const PLACES = 400;

function log(seed: number, bytes: number): Uint8Array<ArrayBuffer> {
  const random = randomWords(seed);
  const below = randomBelow(random);
  const anyEvent = weighted(
    random,
    Array.from({ length: EVENTS }, (_, rank) => 1 / (rank + 1)),
  );
  const threads = Uint32Array.from({ length: THREADS }, () => 2000 + below(5000));
  const places = Uint32Array.from({ length: PLACES }, () => below(2 ** 20) * 64);
  const data = new Uint8Array(bytes);
  const record = new DataView(new ArrayBuffer(RECORD_BYTES));
  const recordBytes = new Uint8Array(record.buffer);
  record.setUint32(28, 0x7f3a, true);
  let nanoseconds = 1_700_000_000_000_000_000n;
  for (let at = 0, number = 1; at < bytes; at += RECORD_BYTES, number++) {
    const event = anyEvent();
    nanoseconds += BigInt(200 + below(50_000));
    record.setBigUint64(0, nanoseconds, true);
    record.setUint32(8, number, true);
    record.setUint16(12, event, true);
    record.setUint8(14, event < 50 ? 1 : 3);
    record.setUint8(15, below(8));
    record.setUint32(16, threads[below(THREADS)]!, true);
    record.setUint32(20, 64 * below(1 + event * event), true);
    record.setUint32(24, places[below(PLACES)]!, true);
    record.setFloat64(32, below(1 + 40 * event) / 1000, true);
    data.set(recordBytes.subarray(0, bytes - at), at);
  }
  return data;
}

export const logKind: Kind = {
  name: "logs",
  description: "binary log records of 48 bytes with counters",
  origin: "seeded",
  generate: (seed, bytes) => opaque(log(seed, bytes)),
};
