#!/usr/bin/env node
/**
 * The `tensorcask` command. Everything it does is in `run.ts`; here it meets the process: arguments in, exit status out.
 * Node keeps compiled modules between runs (stripping types again each time costs more than a small command does), so all
 * imports come behind the line that says so.
 */
import { enableCompileCache } from "node:module";

enableCompileCache();
const { processHost } = await import("./process-host.ts");
const { run } = await import("./run.ts");
process.exitCode = await run(process.argv.slice(2), processHost());
