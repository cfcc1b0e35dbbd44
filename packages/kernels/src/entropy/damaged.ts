/** What decoders throw when a block is not what an encoder wrote. */
export class DamagedBlockError extends Error {
  constructor(message: string) {
    super(`damaged block: ${message}`);
    this.name = "DamagedBlockError";
  }
}
