/**
 * How a command fails: which exit status, which line on the terminal, which JSON object. Errors of the store carry a `tag` and typed
 * fields; they are told apart by the tag, so that nothing of the store must be loaded to say "wrong usage".
 */
import { CommanderError } from "commander";

/** Exit statuses of the command. */
export const exitStatus = { ok: 0, failed: 1, usage: 2 } as const;

/** Wrong usage found by a command itself: the same tag and fields as the store's `UsageError`. */
export class CommandUsageError extends Error {
  readonly tag = "usage";
  /** The argument or option that is wrong. */
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.name = "UsageError";
    this.field = field;
  }
}

/** What is told about an error. `fields` are the typed fields of tagged errors. */
export interface Failure {
  readonly tag: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly status: number;
}

/** Fields that every error has, or that `Failure` names itself. */
const ownFields: ReadonlySet<string> = new Set(["tag", "message", "name", "stack", "cause", "code"]);

/** True for the errors by which commander ends a run that is no failure: help and version were shown. */
export function isDisplayed(error: unknown): boolean {
  return error instanceof CommanderError && error.exitCode === 0;
}

/** Reads an error of any kind. Pure. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /, "");
    // Without a command commander shows the help and throws "(outputHelp)".
    const text = error.code === "commander.help" ? "a command is missing; see tensorcask --help" : message;
    return { tag: "usage", message: text, fields: {}, status: exitStatus.usage };
  }
  if (!(error instanceof Error)) {
    return { tag: "internal", message: String(error), fields: {}, status: exitStatus.failed };
  }
  const tagged = error as Error & { readonly tag?: unknown; readonly code?: unknown };
  if (typeof tagged.tag === "string") {
    const { tag } = tagged;
    const entries = Object.entries(error).filter(
      ([key, value]) => !ownFields.has(key) && value !== undefined,
    );
    const fields = [...entries, ...(tagged.code === undefined ? [] : [["code", tagged.code] as const])].map(
      // JSON has no 64-bit integers.
      ([key, value]): [string, unknown] => [key, typeof value === "bigint" ? String(value) : value],
    );
    const status = tag === "usage" ? exitStatus.usage : exitStatus.failed;
    return { tag, message: error.message, fields: Object.fromEntries(fields), status };
  }
  // An error of the operating system outside the store (an output file that cannot be written): no bug, so no advice to debug.
  const system = typeof tagged.code === "string" && "syscall" in error;
  return {
    tag: system ? "storage" : "internal",
    message: error.message || error.name,
    fields: system ? { code: tagged.code } : {},
    status: exitStatus.failed,
  };
}

/** True when an error is how an operation ends that its signal aborted. */
export function isCancellation(error: unknown): boolean {
  const { tag, name } = (error ?? {}) as { readonly tag?: unknown; readonly name?: unknown };
  return tag === "cancelled" || name === "AbortError" || typeof error === "string";
}

/** The object that `--json` prints for a failure. */
export function failureJson(failure: Failure): unknown {
  return { error: { tag: failure.tag, message: failure.message, ...failure.fields } };
}

/** Names of tensors listed under an error; more are counted. */
const LISTED_MAX = 10;

/** The lines printed for a failure. */
export function failureLines(failure: Failure): string[] {
  const lines = [`error: ${failure.message}`];
  const { tensors } = failure.fields;
  if (Array.isArray(tensors) && tensors.length > 0) {
    lines.push("tensors it hits:", ...tensors.slice(0, LISTED_MAX).map((name) => `  ${name}`));
    if (tensors.length > LISTED_MAX) {
      lines.push(`  and ${tensors.length - LISTED_MAX} more`);
    }
  }
  if (failure.tag === "internal") {
    lines.push("this looks like a bug; run it again with TENSORCASK_DEBUG=1 to see where");
  }
  return lines;
}
