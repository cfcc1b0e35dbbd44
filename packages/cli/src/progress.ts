/**
 * Progress bars of long commands: on standard error, on a terminal only, and only once something has taken a moment.
 */
import { formatBytes, formatSeconds, printable } from "@tensorcask/stats";
import type { Sink } from "./host.ts";

/** A command that is done sooner shows no bar: one that flashes by is noise. */
const APPEARS_AFTER_MS = 250;
const BAR_CELLS = 16;
/** Longest name of what is being worked on, in characters, so that the line fits most terminals. */
const ITEM_CHARACTERS = 32;

/** How far something has got: bytes of a phase, of a total that is 0 when not known. */
export interface ShownProgress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
  readonly item?: string;
}

export interface ProgressDisplay {
  readonly report: (progress: ShownProgress) => void;
  /** Takes the bar off the screen. */
  stop(): void;
}

/** What a bar's line shows. */
export interface ProgressLine extends ShownProgress {
  readonly elapsedSeconds: number;
}

function shortened(item: string): string {
  const text = printable(item);
  return text.length > ITEM_CHARACTERS ? `...${text.slice(3 - ITEM_CHARACTERS)}` : text;
}

/** Whole seconds: more would flicker. */
function timeLeft(seconds: number): string {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s left` : `${formatSeconds(whole)} left`;
}

/** The line of a bar: phase, bar, share, bytes, speed, time left, item. The last step, a commit, is all or nothing: only named. Pure. */
export function progressLine(line: ProgressLine): string {
  if (line.phase === "commit") {
    return "commit ...";
  }
  const share = line.total > 0 ? Math.min(1, line.done / line.total) : 0;
  const filled = Math.round(share * BAR_CELLS);
  const speed = line.elapsedSeconds > 0 ? line.done / line.elapsedSeconds : 0;
  const left = speed > 0 && line.total > line.done ? (line.total - line.done) / speed : undefined;
  const bar = [
    `[${"=".repeat(filled)}${" ".repeat(BAR_CELLS - filled)}]`,
    `${Math.floor(share * 100)} %`.padStart(5),
    `${formatBytes(line.done)} of ${formatBytes(line.total)}`,
  ];
  return [
    line.phase,
    // Of a pipe nobody knows how long it will be.
    ...(line.total === 0 && line.done > 0 ? [formatBytes(line.done)] : bar),
    ...(speed > 0 ? [`${formatBytes(speed)}/s`] : []),
    ...(left === undefined ? [] : [timeLeft(left)]),
    ...(line.item === undefined ? [] : [shortened(line.item)]),
  ].join("  ");
}

/** Starts a display; undefined where there is none to be (`wanted` false, or no terminal). */
export async function startProgress(sink: Sink, wanted: boolean): Promise<ProgressDisplay | undefined> {
  if (!wanted || !sink.isTerminal || sink.stream === undefined) {
    return undefined;
  }
  const { SingleBar } = (await import("cli-progress")).default;
  const bar = new SingleBar({
    stream: sink.stream,
    format: (_options, _state, payload) => progressLine(payload.line),
    fps: 10,
    clearOnComplete: true,
    // Ctrl-C is the host's: the bar must not end the process by itself.
    gracefulExit: false,
    // Cut lines rather than switch the terminal's wrapping off and cursor away: a killed process could not switch them on again.
    linewrap: true,
    hideCursor: false,
  });
  const startedMs = performance.now();
  let phase: string | undefined;
  let phaseStartedMs = startedMs;
  let shown = false;
  return {
    report(progress) {
      const nowMs = performance.now();
      if (progress.phase !== phase) {
        phase = progress.phase;
        phaseStartedMs = nowMs;
      }
      if (nowMs - startedMs < APPEARS_AFTER_MS) {
        return;
      }
      const line = { ...progress, elapsedSeconds: (nowMs - phaseStartedMs) / 1000 };
      if (shown) {
        bar.setTotal(progress.total);
        bar.update(progress.done, { line });
      } else {
        shown = true;
        bar.start(progress.total, progress.done, { line });
      }
    },
    stop() {
      if (shown) {
        bar.stop();
      }
    },
  };
}
