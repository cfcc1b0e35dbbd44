/** SHA-256, from whichever platform runs. It identifies chunks and tensors. */
export { createSha256, type Sha256, sha256 } from "#platform";

/** Length of a SHA-256. */
export const SHA256_BYTES = 32;
