/**
 * Captured network packets: headers of a few flows, which count and repeat, before payloads that are encrypted. Ethernet, IPv4 and TCP headers of
 * 54 bytes behind the 16 bytes of a capture file's record.
 */
import { randomBelow, randomBytes, randomWords, weighted } from "./random.ts";
import { type Kind, opaque } from "./sample.ts";

const RECORD_BYTES = 16;
const HEADER_BYTES = 54;
const FLOWS = 24;
const LENGTHS = [0, 0, 32, 64, 120, 512, 1380];

interface Flow {
  readonly header: Uint8Array<ArrayBuffer>;
  identification: number;
  sequence: number;
  acknowledged: number;
}

function newFlow(random: () => number): Flow {
  const header = randomBytes(random, HEADER_BYTES);
  // Ethernet's type, IPv4 without options, not fragmented, 64 hops, TCP; header of five words, ACK.
  header.set([0x08, 0x00, 0x45, 0x00], 12);
  header.set([0x40, 0x00, 0x40, 0x06], 20);
  header.set([192, 168, 1], 26);
  header.set([0x01, 0xbb], 36);
  header.set([0x50, 0x10], 46);
  header.fill(0, 52);
  return { header, identification: random() & 0xffff, sequence: random(), acknowledged: random() };
}

function capture(seed: number, bytes: number): Uint8Array<ArrayBuffer> {
  const random = randomWords(seed);
  const below = randomBelow(random);
  const flows = Array.from({ length: FLOWS }, () => newFlow(random));
  const anyFlow = weighted(
    random,
    flows.map((_, rank) => 1 / (rank + 1)),
  );
  const data = new Uint8Array(bytes);
  const record = new Uint8Array(RECORD_BYTES + HEADER_BYTES);
  const view = new DataView(record.buffer);
  let microseconds = 0;
  for (let at = 0; at < bytes; ) {
    const flow = flows[anyFlow()]!;
    const payloadBytes = LENGTHS[below(LENGTHS.length)]!;
    const packetBytes = HEADER_BYTES + payloadBytes;
    microseconds += 1 + below(400);
    view.setUint32(0, 1_700_000_000 + Math.floor(microseconds / 1e6), true);
    view.setUint32(4, microseconds % 1e6, true);
    view.setUint32(8, packetBytes, true);
    view.setUint32(12, packetBytes, true);
    record.set(flow.header, RECORD_BYTES);
    flow.identification = (flow.identification + 1) & 0xffff;
    view.setUint16(RECORD_BYTES + 16, packetBytes - 14);
    view.setUint16(RECORD_BYTES + 18, flow.identification);
    // Checksums, of IPv4 and of TCP.
    view.setUint16(RECORD_BYTES + 24, random() & 0xffff);
    view.setUint16(RECORD_BYTES + 50, random() & 0xffff);
    view.setUint32(RECORD_BYTES + 38, flow.sequence);
    view.setUint32(RECORD_BYTES + 42, flow.acknowledged);
    flow.sequence = (flow.sequence + payloadBytes) >>> 0;
    if ((random() & 3) === 0) flow.acknowledged = (flow.acknowledged + 1380) >>> 0;
    at += put(data, at, record);
    at += put(data, at, randomBytes(random, payloadBytes));
  }
  return data;
}

/** Copies what fits; gives the whole length. */
function put(data: Uint8Array, at: number, piece: Uint8Array): number {
  if (at < data.length) data.set(piece.subarray(0, data.length - at), at);
  return piece.length;
}

export const packetKind: Kind = {
  name: "packets",
  description: "captured TCP packets: headers of some flows, encrypted payloads",
  origin: "seeded",
  generate: (seed, bytes) => opaque(capture(seed, bytes)),
};
