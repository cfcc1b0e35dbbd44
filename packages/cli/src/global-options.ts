/**
 * The options that every command has, before the command or behind it.
 */
import { type Command, Option } from "commander";
import { parseBytes, parseCount, parseDuration } from "./option-values.ts";

export interface GlobalOptions {
  readonly store?: string;
  readonly json?: boolean;
  readonly memory?: number;
  /** Milliseconds. */
  readonly wait?: number;
  readonly workers?: number;
}

const names = ["store", "json", "memory", "wait", "workers"] as const;

/** Adds the global options to the program or one of its commands, under a heading of their own. */
export function addGlobalOptions(command: Command): void {
  const options = [
    new Option("--store <dir>", "the store's directory (or set TENSORCASK_STORE)"),
    new Option("--json", "print JSON"),
    new Option("--memory <size>", "memory for buffers, caches and workers, such as 256MB").argParser(
      parseBytes,
    ),
    new Option("--wait <time>", "how long to wait for another writer, such as 60s").argParser(parseDuration),
    new Option("--workers <n>", "worker threads; 0: none (default: one per core)").argParser(parseCount),
  ];
  for (const option of options) {
    command.addOption(option.helpGroup("Everywhere:"));
  }
}

/** The global options of a command; what stands behind the command wins over what stands before it. */
export function globalOptionsOf(command: Command): GlobalOptions {
  const found: Record<string, unknown> = {};
  for (let level: Command | null = command; level !== null; level = level.parent) {
    for (const name of names) {
      const value: unknown = level.getOptionValue(name);
      if (value !== undefined && found[name] === undefined) {
        found[name] = value;
      }
    }
  }
  return found;
}
