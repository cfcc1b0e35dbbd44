// Where the modules that code with rANS (entropy, sibling) keep what its steps load: the lowest part of their memories.
//
//   1024     +----------------+
//            | CONSTANTS      |  vectors that loops load: V8 rebuilds a v128.const each time it meets one
//            | PACK           |  16 shuffles: 16-bit words of chosen lanes of 4, packed to the end of 8 bytes (encoder)
//            | SPREAD         |  16 shuffles: packed 16-bit words to chosen lanes of 4 (decoder)
//            +----------------+

export const CONSTANTS: usize = 1024; // the first 96 bytes are those of rans-states.ts
export const PACK: usize = CONSTANTS + 512;
export const SPREAD: usize = PACK + 256;
