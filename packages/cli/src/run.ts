/**
 * One run of the command line: arguments in, exit status out. All failures end here: 0 ok, 1 failed, 2 wrong usage, 130 after Ctrl-C.
 */
import { CommanderError } from "commander";
import type { Outcome } from "./context.ts";
import { exitStatus, failureJson, failureLines, failureOf, isCancellation, isDisplayed } from "./failure.ts";
import { type Host, signalStatus } from "./host.ts";
import { buildProgram } from "./program.ts";
import { commands } from "./registry.ts";

/** True when `--json` is among the options; asked before anything is parsed, since parsing itself may fail. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return (end < 0 ? argv : argv.slice(0, end)).includes("--json");
}

/** `help import` means `import --help`, which loads the command first; the help of an unknown command is the error that it is unknown. */
function withoutHelpCommand(argv: readonly string[]): readonly string[] {
  const [first, name, ...rest] = argv;
  if (first !== "help" || name === undefined) {
    return argv;
  }
  return commands.some((command) => command.name === name) ? [name, ...rest, "--help"] : [name];
}

async function reportInterruption(host: Host, json: boolean, outcome: Outcome): Promise<number> {
  const signal = String(host.signal.reason);
  const advice = outcome.afterInterruption === undefined ? "" : `; ${outcome.afterInterruption}`;
  const message = `interrupted (${signal}): the command stopped, ${outcome.left ?? "the store is whole"}${advice}`;
  if (json) {
    await host.stdout.write(`${JSON.stringify({ error: { tag: "cancelled", message, signal } })}\n`);
  } else {
    await host.stderr.write(`${message}\n`);
  }
  return signalStatus[signal] ?? exitStatus.failed;
}

async function reportFailure(error: unknown, host: Host, json: boolean): Promise<number> {
  const failure = failureOf(error);
  if (json) {
    await host.stdout.write(`${JSON.stringify(failureJson(failure))}\n`);
  } else if (!(error instanceof CommanderError)) {
    // Commander has printed its own errors already, with the hint at the help.
    await host.stderr.write(`${failureLines(failure).join("\n")}\n`);
  }
  if (host.environment.TENSORCASK_DEBUG && error instanceof Error) {
    await host.stderr.write(`${error.stack}\n`);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      await host.stderr.write(`caused by ${cause.stack}\n`);
    }
  }
  return failure.status;
}

/**
 * Runs one command line. Never rejects for what a command does: failures are printed.
 *
 * @param argv the arguments, without those of node
 * @returns the exit status
 */
export async function run(argv: readonly string[], host: Host): Promise<number> {
  const json = wantsJson(argv);
  const outcome: Outcome = { status: exitStatus.ok };
  try {
    await buildProgram({ host, outcome, quiet: json }).parseAsync([...withoutHelpCommand(argv)], {
      from: "user",
    });
    return outcome.status;
  } catch (error) {
    if (isDisplayed(error)) {
      return exitStatus.ok;
    }
    return host.signal.aborted && isCancellation(error)
      ? reportInterruption(host, json, outcome)
      : reportFailure(error, host, json);
  }
}
