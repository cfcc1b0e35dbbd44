/**
 * What a command's file exports, and how the help of all commands ends: with examples.
 */
import type { Command } from "commander";
import type { CommandContext } from "./context.ts";

/** Gives an action the context of its command: global options, output, store. */
export type Open = (command: Command) => CommandContext;

/** Adds arguments, options, examples and the action to a command that has name and summary already. */
export type Define = (command: Command, open: Open) => void;

/** One line of examples: what to type, and what it does. */
export type Example = readonly [line: string, does: string];

/** The examples as printed: aligned, what they do behind a `#`. Pure. */
export function exampleLines(examples: readonly Example[]): string[] {
  const width = Math.max(...examples.map(([line]) => line.length));
  return examples.map(([line, does]) => `  ${line.padEnd(width)}  # ${does}`);
}

/** Puts examples at the end of a command's help. */
export function addExamples(command: Command, examples: readonly Example[]): void {
  command.addHelpText("after", `\nExamples:\n${exampleLines(examples).join("\n")}`);
}
