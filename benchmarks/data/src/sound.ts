/** Sound: stereo PCM of 16 bits at 48 kHz, chords of four voices with harmonics that die away, and the noise of a microphone. */
import { sineTurn } from "./normal.ts";
import { randomBelow, randomWords } from "./random.ts";
import { bytesOf, type Kind, type Sample } from "./sample.ts";

/** Samples of one chord: a quarter of a second. */
const CHORD_SAMPLES = 12_000;
const VOICES = 4;
const LOUDNESS = 5000;
/** One turn of the table, in steps. */
const TURN = 4096;
/** Phases are counted in 2^-20 of a step. */
const PHASE_LOG2 = 20;
/** A voice keeps this share of its loudness each 64 samples. */
const DECAY = 0.9925;
/** A semitone, the twelfth root of two, and 55 Hz in turns of the table a sample. */
const SEMITONE = 1.0594630943592953;
const LOWEST_STEP = (55 / 48_000) * TURN * 2 ** PHASE_LOG2;

/** One turn of a tone with six harmonics, each weaker than the one before. */
function toneTurn(): Float64Array {
  const sine = sineTurn();
  return Float64Array.from(sine, (_, step) => {
    let sum = 0;
    for (let harmonic = 1; harmonic <= 6; harmonic++) sum += sine[(step * harmonic) % TURN]! / harmonic ** 2;
    return sum;
  });
}

function sound(seed: number, bytes: number): Sample {
  const tone = toneTurn();
  const random = randomWords(seed);
  const below = randomBelow(random);
  const count = Math.floor(bytes / 4);
  const data = new Int16Array(2 * count);
  const phases = new Uint32Array(VOICES);
  const steps = new Uint32Array(VOICES);
  const loudness = new Float64Array(VOICES);
  for (let at = 0; at < count; at++) {
    if (at % CHORD_SAMPLES === 0) {
      for (let voice = 0; voice < VOICES; voice++) {
        let step = LOWEST_STEP;
        for (let tones = 12 + below(36); tones > 0; tones--) step *= SEMITONE;
        steps[voice] = step;
        loudness[voice] = (LOUDNESS * (1 + below(3))) / 4;
      }
    }
    let left = 0;
    let right = 0;
    for (let voice = 0; voice < VOICES; voice++) {
      phases[voice]! += steps[voice]!;
      const value = tone[phases[voice]! >>> PHASE_LOG2]! * loudness[voice]!;
      // Voices sit at different places between the two channels.
      left += value * (VOICES - voice);
      right += value * (voice + 1);
      if ((at & 63) === 0) loudness[voice]! *= DECAY;
    }
    const noise = random();
    data[2 * at] = Math.round(left / (VOICES + 1)) + (noise & 15) + ((noise >>> 4) & 15) - 15;
    data[2 * at + 1] = Math.round(right / (VOICES + 1)) + ((noise >>> 8) & 15) + ((noise >>> 12) & 15) - 15;
  }
  return { dtype: "int16", shape: [count, 2], data: bytesOf(data) };
}

export const soundKind: Kind = {
  name: "audio",
  description: "stereo PCM of 16 bits: chords with harmonics, noise",
  origin: "seeded",
  generate: sound,
};
