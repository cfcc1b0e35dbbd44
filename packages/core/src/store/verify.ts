/**
 * Checks a store from end to end and changes nothing. Shallow: marker, journal, catalog, and every live frame's checksum. Deep: every chunk decoded and
 * hashed, tensor keys and files recomputed as well. What is wrong never throws, it is listed, with the tensors it hits.
 *
 * Writers are not kept out. What they change meanwhile is either seen as it was or as it is then: gone packs are looked up again, and what was
 * collected is passed over.
 */
import { equalBytes } from "@tensorcask/codec";
import { JOURNAL_START } from "../journal/journal.ts";
import type { JournalPosition } from "../model/entry.ts";
import type { StoreContext } from "./context.ts";
import { MARKER_NAME, readMarker } from "./marker.ts";
import { checkSignal, ProblemList } from "./problem-list.ts";
import type { VerifyOptions, VerifyResult } from "./types.ts";
import { exactFiles, verifyFiles, verifyTensors } from "./verify-contents.ts";
import { verifyFrames } from "./verify-frames.ts";

export { verifyAgainst } from "./verify-against.ts";

/** Checks everything that is stored. */
export async function verify(context: StoreContext, options: VerifyOptions = {}): Promise<VerifyResult> {
  const started = performance.now();
  const deep = options.deep === true;
  const problems = new ProblemList();
  checkSignal(options);
  await problems.guard(MARKER_NAME, () => verifyMarker(context, problems));
  const entries = await verifyJournal(context, options, problems);
  const frameBytes = await verifyCatalog(context, problems);
  const files = deep ? filesOf(context, problems) : NO_FILES;
  const total = frameBytes + files.bytes;
  const report = (done: number, item?: string): void => {
    options.onProgress?.({
      phase: "verify",
      done: Math.min(done, total),
      total,
      ...(item !== undefined && { item }),
    });
  };
  const frames = await verifyFrames(context, options, problems, report);
  if (deep) {
    await problems.guard("catalog", () => verifyTensors(context, options, problems, frames.bad));
    await verifyFiles(context, options, problems, files, (done, item) => report(frameBytes + done, item));
  }
  report(total);
  return {
    ok: problems.problems.length === 0,
    deep,
    chunks: frames.chunks,
    bytes: frames.bytes,
    files: files.count,
    entries,
    problems: problems.problems,
    seconds: (performance.now() - started) / 1000,
  };
}

const NO_FILES: ReturnType<typeof exactFiles> = { distinct: [], count: 0, bytes: 0 };

function filesOf(context: StoreContext, problems: ProblemList): ReturnType<typeof exactFiles> {
  try {
    return exactFiles(context, problems);
  } catch {
    // The catalog cannot be read, which is among the problems already.
    return NO_FILES;
  }
}

async function verifyMarker(context: StoreContext, problems: ProblemList): Promise<void> {
  const { files, directory, marker } = context.parts;
  const found = await readMarker(files, directory);
  if (found === undefined) problems.add(MARKER_NAME, "is missing");
  else if (found.id !== marker.id || found.chunkElements !== marker.chunkElements) {
    problems.add(MARKER_NAME, "is that of another store");
  }
}

/** Reads all of the journal, and holds the catalog's position against it. Returns the number of entries. */
async function verifyJournal(
  context: StoreContext,
  options: VerifyOptions,
  problems: ProblemList,
): Promise<number> {
  let entries = 0;
  await problems.guard("journal", async () => {
    const applied = context.catalog.position();
    let end: JournalPosition = JOURNAL_START;
    let met: JournalPosition | undefined = applied.sequence === 0 ? JOURNAL_START : undefined;
    for await (const item of context.parts.journal.read(JOURNAL_START)) {
      checkSignal(options);
      if (item.restart) {
        entries = 0;
        continue;
      }
      entries += 1;
      if (item.position.sequence === 0) continue;
      end = item.position;
      if (end.sequence === applied.sequence) met = end;
    }
    if (end.sequence < applied.sequence) {
      problems.add(
        "journal",
        `ends with entry ${end.sequence}, though entry ${applied.sequence} was applied to the catalog`,
      );
    } else if (met !== undefined && !equalBytes(met.hash, applied.hash)) {
      problems.add("journal", `has another entry ${applied.sequence} than the catalog was made from`);
    }
  });
  return entries;
}

/** SQLite's own check, and that everything that is in use is there. Returns the bytes of all live frames. */
async function verifyCatalog(context: StoreContext, problems: ProblemList): Promise<number> {
  let bytes = 0;
  await problems.guard("catalog", () => {
    for (const line of context.catalog.problems()) problems.add("catalog", line);
  });
  await problems.guard("catalog", () => {
    bytes = context.catalog.usage().frameBytes;
  });
  return bytes;
}
