/** The command line as a function: what the `tensorcask` command runs, for programs and tests that bring their own streams. */
export type { Engine, Host, Sink } from "./host.ts";
export { processHost, streamSink } from "./process-host.ts";
export { run } from "./run.ts";
