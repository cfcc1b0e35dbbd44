#!/usr/bin/env node
/**
 * The `tensorcask` command. Everything it does is in `run.ts`; here it meets the process: arguments in, exit status out.
 * Node keeps compiled modules between runs, so all imports come behind the line that says so; and this file is plain JavaScript, so
 * that a small command need not load what strips types.
 */
import { enableCompileCache } from "node:module";

enableCompileCache();
const { processHost } = await import("../src/process-host.ts");
const { run } = await import("../src/run.ts");
process.exitCode = await run(process.argv.slice(2), processHost());
