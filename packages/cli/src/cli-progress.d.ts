/** The part of cli-progress 3 that the progress display uses; the package brings no types. */
declare module "cli-progress" {
  import type { ProgressLine } from "./progress.ts";

  interface Payload {
    readonly line: ProgressLine;
  }

  interface Options {
    readonly stream?: NodeJS.WritableStream;
    readonly format: (options: unknown, state: unknown, payload: Payload) => string;
    readonly fps?: number;
    readonly clearOnComplete?: boolean;
    readonly gracefulExit?: boolean;
    readonly linewrap?: boolean;
    readonly hideCursor?: boolean;
  }

  class SingleBar {
    constructor(options: Options);
    start(total: number, startValue: number, payload: Payload): void;
    update(value: number, payload: Payload): void;
    setTotal(total: number): void;
    stop(): void;
  }

  const exported: { readonly SingleBar: typeof SingleBar };
  export default exported;
}
