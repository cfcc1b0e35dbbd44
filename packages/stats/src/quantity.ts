/**
 * Quantities as people read them: bytes, ratios, counts, durations, speeds. Byte units are decimal (1 MB = 1,000,000 bytes), as in
 * the command line's `--memory 256MB`, so that sizes and MB/s agree with each other.
 */

const byteUnits: readonly string[] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** Three significant digits, but never fewer than the whole part has. */
function threeDigits(value: number): string {
  if (value < 9.995) {
    return value.toFixed(2);
  }
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

/** `1234567` -> `1.23 MB`; below 1,000 the exact number of bytes. Negative values keep their sign. */
export function formatBytes(bytes: number): string {
  if (bytes < 0) {
    return `-${formatBytes(-bytes)}`;
  }
  if (!Number.isFinite(bytes)) {
    return String(bytes);
  }
  if (bytes < 1000) {
    return `${Math.round(bytes * 100) / 100} B`;
  }
  let unit = 0;
  let value = bytes;
  // 999.5 would print as "1000": it belongs to the next unit already.
  while (value >= 999.5 && unit < byteUnits.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${threeDigits(value)} ${byteUnits[unit]}`;
}

/** A compression ratio with two digits behind the point (three below 10); `-` when there is none (nothing stored). */
export function formatRatio(ratio: number | null): string {
  if (ratio === null || !Number.isFinite(ratio)) {
    return "-";
  }
  if (ratio >= 1000) {
    return formatCount(Math.round(ratio));
  }
  return ratio < 10 ? ratio.toFixed(3) : ratio.toFixed(1);
}

/** `1234567` -> `1,234,567`, in every locale. */
export function formatCount(count: number): string {
  const text = String(Math.trunc(Math.abs(count)));
  const grouped = text.replace(/\B(?=(\d{3})+$)/g, ",");
  return count < 0 ? `-${grouped}` : grouped;
}

/** A count with its noun: `1 file`, `2 files`. `plural` only where an `s` does not make it. */
export function formatItems(count: number, noun: string, plural: string = `${noun}s`): string {
  return `${formatCount(count)} ${count === 1 ? noun : plural}`;
}

/** Seconds as `0.034 s`, `12.3 s`, `4 min 5 s`, `2 h 3 min`. */
export function formatSeconds(seconds: number): string {
  if (!(seconds >= 0) || !Number.isFinite(seconds)) {
    return "-";
  }
  if (seconds < 1) {
    return `${seconds.toFixed(3)} s`;
  }
  if (seconds < 59.95) {
    return `${seconds < 9.995 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  }
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`;
}

/** Bytes per second; `-` when no time passed. */
export function formatSpeed(bytes: number, seconds: number): string {
  return seconds > 0 ? `${formatBytes(bytes / seconds)}/s` : "-";
}

/** A part of a whole in percent, one digit behind the point; `-` of nothing. */
export function formatPercent(part: number, whole: number): string {
  return whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : "-";
}

/** Decibels with one digit behind the point; `-` where there is no noise or no signal. */
export function formatDecibels(decibels: number | null): string {
  return decibels === null ? "-" : `${decibels.toFixed(1)} dB`;
}

/** An error or deviation: three significant digits. */
export function formatDeviation(value: number): string {
  return String(Number(value.toPrecision(3)));
}
