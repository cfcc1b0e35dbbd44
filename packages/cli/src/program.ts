/**
 * The command line as commander sees it. Every command is there with its name and summary; its file, with arguments and options, is
 * imported by a hook when commander reaches it.
 */
import { Command } from "commander";
import { addExamples } from "./command.ts";
import { CommandContext, type Outcome } from "./context.ts";
import { addGlobalOptions, globalOptionsOf } from "./global-options.ts";
import type { Host } from "./host.ts";
import { commands } from "./registry.ts";
import { packageVersion } from "./version.ts";

export interface ProgramOptions {
  readonly host: Host;
  readonly outcome: Outcome;
  /** Errors go to JSON: commander must not print its own. */
  readonly quiet: boolean;
}

function describeProgram(program: Command): void {
  program
    .name("tensorcask")
    .description("A tensor storage database: model weights and tensors, compressed, shared, versioned.")
    .version(packageVersion(), "-V, --version", "print the version of tensorcask")
    .usage("[options] <command>")
    // Options behind a command belong to it, so that `get ... --version 3` is not `tensorcask --version`.
    .enablePositionalOptions()
    .helpOption("-h, --help", "print help; behind a command: its options and examples")
    .configureHelp({ showGlobalOptions: false });
  addGlobalOptions(program);
  addExamples(program, [
    ["tensorcask --store zoo import model/ --dataset llm", "import a folder"],
    ["tensorcask --store zoo ls llm", "list its tensors"],
    ["tensorcask --store zoo export llm --out copy", "write it back, bit for bit"],
    ["TENSORCASK_STORE=zoo tensorcask stats", "sizes, ratios, overheads"],
    ["tensorcask import --help", "options and examples of one command"],
  ]);
}

/** Builds the program for one run. */
export function buildProgram({ host, outcome, quiet }: ProgramOptions): Command {
  const program = new Command();
  describeProgram(program);
  program.exitOverride();
  program.configureOutput({
    // Commander does not wait for its output; a stream that fails here has no one left to tell.
    writeOut: (text) => void host.stdout.write(text).catch(() => undefined),
    writeErr: (text) => void (quiet ? undefined : host.stderr.write(text).catch(() => undefined)),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
  const open = (command: Command): CommandContext =>
    new CommandContext(host, globalOptionsOf(command), outcome);
  const loads = new Map<Command, () => Promise<void>>();
  for (const entry of commands) {
    const command = program.command(entry.name).summary(entry.summary).helpGroup(entry.group);
    loads.set(command, async () => {
      const { define } = await entry.load();
      define(command, open);
      for (const one of [command, ...command.commands]) {
        addGlobalOptions(one);
        one.showHelpAfterError(`(${pathOf(one)} --help says more)`);
      }
    });
  }
  program.showHelpAfterError("(tensorcask --help lists the commands)");
  program.helpCommand("help [command]", "print the help of a command");
  program.hook("preSubcommand", async (_, command) => {
    await loads.get(command)?.();
  });
  return program;
}

function pathOf(command: Command): string {
  const names: string[] = [];
  for (let level: Command | null = command; level !== null; level = level.parent) {
    names.unshift(level.name());
  }
  return names.join(" ");
}
