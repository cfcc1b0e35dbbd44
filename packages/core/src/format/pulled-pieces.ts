/** Turns what is pushed to a visitor into what is pulled: each visit lasts until its piece is done with. */

/** Visits pieces in order. */
export type PushPieces = (visit: (piece: Uint8Array) => Promise<void>) => Promise<void>;

/**
 * The pieces that `push` visits, each valid until the next one is asked for. Whoever stops early ends the next visit with an error, and `push` has
 * ended when this has. Throws what `push` throws.
 */
export async function* pulledPieces(push: PushPieces): AsyncGenerator<Uint8Array> {
  let give: (piece: Uint8Array | undefined) => void;
  let fail: (error: unknown) => void;
  let release = (): void => undefined;
  let isStopped = false;
  const upcoming = (): Promise<Uint8Array | undefined> =>
    new Promise((resolve, reject) => {
      give = resolve;
      fail = reject;
    });
  let next = upcoming();
  const pushing = push(async (piece) => {
    if (isStopped) throw new Error("nobody takes the next piece");
    const used = new Promise<void>((resolve) => {
      release = resolve;
    });
    give(piece);
    await used;
  }).then(
    () => give(undefined),
    (error: unknown) => fail(error),
  );
  try {
    for (let piece = await next; piece !== undefined; piece = await next) {
      yield piece;
      next = upcoming();
      release();
    }
  } finally {
    isStopped = true;
    release();
    await pushing;
  }
}
