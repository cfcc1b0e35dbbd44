/**
 * The tagged errors of Tensorcask. Every failure that a caller can act on is one of these classes: `tag` tells
 * them apart without `instanceof` (which fails across package copies and worker threads), the typed fields say what is concerned,
 * the message says what to do. Missing things are `undefined`, not errors, unless an operation cannot go on without them.
 */

/** Base of all errors that Tensorcask throws on purpose. */
export class TensorcaskError extends Error {
  /** Stable machine-readable name of the kind of error. */
  readonly tag: string;

  constructor(tag: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.tag = tag;
    this.name = new.target.name;
  }
}

/** An argument, option or name is wrong; `field` names it. */
export class UsageError extends TensorcaskError {
  readonly field: string;

  constructor(field: string, message: string, options?: ErrorOptions) {
    super("usage", message, options);
    this.field = field;
  }
}

/** Stored or received bytes are not what was written. `where` is a pack, journal segment, frame or codec. */
export class DamageError extends TensorcaskError {
  readonly where: string;
  /** `dataset/tensor` names that the damage hits, as far as they are known. */
  readonly tensors: readonly string[];

  constructor(where: string, message: string, options?: ErrorOptions & { tensors?: readonly string[] }) {
    super("damage", `${where}: ${message}`, options);
    this.where = where;
    this.tensors = options?.tensors ?? [];
  }
}

/** A length read from disk, network or a caller exceeds the named limit. */
export class LimitError extends TensorcaskError {
  readonly limit: string;
  readonly value: number | bigint;
  readonly maximum: number;

  constructor(limit: string, value: number | bigint, maximum: number, where = "") {
    super("limit", `${where ? `${where}: ` : ""}${limit} is ${value}, the limit is ${maximum}`);
    this.limit = limit;
    this.value = value;
    this.maximum = maximum;
  }
}

/** An input file breaks a rule of its format. Nothing of it was stored. */
export class InvalidFileError extends TensorcaskError {
  readonly file: string;
  /** The rule that is broken, as a short stable phrase. */
  readonly rule: string;
  readonly tensor: string | undefined;

  constructor(file: string, rule: string, message: string, options?: ErrorOptions & { tensor?: string }) {
    const tensor = options?.tensor === undefined ? "" : `tensor ${JSON.stringify(options.tensor)}: `;
    super("invalid-file", `${file}: ${tensor}${message}`, options);
    this.file = file;
    this.rule = rule;
    this.tensor = options?.tensor;
  }
}

/** Something an operation needs does not exist. */
export class NotFoundError extends TensorcaskError {
  readonly kind: string;
  readonly missing: string;

  constructor(kind: string, name: string, advice = "") {
    super("not-found", `there is no ${kind} ${JSON.stringify(name)}${advice ? `; ${advice}` : ""}`);
    this.kind = kind;
    this.missing = name;
  }
}

/** A name is taken. */
export class AlreadyExistsError extends TensorcaskError {
  readonly kind: string;
  readonly taken: string;

  constructor(kind: string, name: string, advice = "") {
    super("already-exists", `${kind} ${JSON.stringify(name)} exists already${advice ? `; ${advice}` : ""}`);
    this.kind = kind;
    this.taken = name;
  }
}

/** A bare tensor name stands for several records; `candidates` are their full addresses. */
export class AmbiguousNameError extends TensorcaskError {
  readonly ambiguous: string;
  readonly candidates: readonly string[];

  constructor(name: string, candidates: readonly string[]) {
    super("ambiguous", `${JSON.stringify(name)} is not unique here; say which: ${candidates.join(", ")}`);
    this.ambiguous = name;
    this.candidates = candidates;
  }
}

/** The version asked for was collected, or never existed. */
export class VersionExpiredError extends TensorcaskError {
  readonly dataset: string;
  readonly version: number;

  constructor(dataset: string, version: number) {
    super(
      "version-expired",
      `version ${version} of ${JSON.stringify(dataset)} is not kept any more (or never was); tag versions that must stay`,
    );
    this.dataset = dataset;
    this.version = version;
  }
}

/** What a transaction read was changed by another commit before it could commit itself. */
export class ConflictError extends TensorcaskError {
  readonly dataset: string;
  /** Address of the record or file in conflict, or the empty string for the dataset itself. */
  readonly address: string;

  constructor(
    dataset: string,
    address: string,
    message = "was changed by another commit; run the transaction again",
  ) {
    super("conflict", `${JSON.stringify(dataset)}${address ? ` ${JSON.stringify(address)}` : ""} ${message}`);
    this.dataset = dataset;
    this.address = address;
  }
}

/** A tensor or its metadata breaks the schema of its dataset; `field` names the part. */
export class SchemaError extends TensorcaskError {
  readonly field: string;

  constructor(field: string, message: string) {
    super("schema", `${field}: ${message}`);
    this.field = field;
  }
}

/** Another writer holds the lock for longer than the caller wanted to wait. */
export class LockTimeoutError extends TensorcaskError {
  readonly holderPid: number | undefined;
  readonly waitedMs: number;

  constructor(holderPid: number | undefined, waitedMs: number) {
    const who = holderPid === undefined ? "another process" : `process ${holderPid}`;
    super(
      "lock-timeout",
      `${who} holds the store's writer lock (waited ${waitedMs} ms); wait longer with --wait`,
    );
    this.holderPid = holderPid;
    this.waitedMs = waitedMs;
  }
}

/** The directory cannot be opened as a store: not one, newer than this version, on a network file system, damaged marker. */
export class StoreOpenError extends TensorcaskError {
  readonly directory: string;
  readonly reason:
    | "not-a-store"
    | "newer-format"
    | "network-file-system"
    | "damaged"
    | "missing"
    | "incompatible";

  constructor(directory: string, reason: StoreOpenError["reason"], message: string, options?: ErrorOptions) {
    super("store-open", `${directory}: ${message}`, options);
    this.directory = directory;
    this.reason = reason;
  }
}

/** The store or the handle was closed. */
export class ClosedError extends TensorcaskError {
  constructor(what: string) {
    super("closed", `${what} is closed`);
  }
}

/** The operating system refused a file operation. `code` is its errno name (ENOSPC, EIO, ...). */
export class StorageError extends TensorcaskError {
  readonly operation: string;
  readonly path: string;
  readonly code: string;

  constructor(operation: string, path: string, cause: unknown) {
    const code = (cause as { code?: string } | undefined)?.code ?? "UNKNOWN";
    const advice =
      code === "ENOSPC" || code === "EDQUOT"
        ? "no space left: free some (tensorcask rm, prune, gc still work), then run it again"
        : cause instanceof Error
          ? cause.message
          : String(cause);
    super("storage", `${operation} ${path} failed (${code}): ${advice}`, { cause });
    this.operation = operation;
    this.path = path;
    this.code = code;
  }
}

/** The caller's signal aborted the operation; the store is as it was. */
export class CancelledError extends TensorcaskError {
  constructor(what: string, options?: ErrorOptions) {
    super("cancelled", `${what} was cancelled`, options);
  }
}
