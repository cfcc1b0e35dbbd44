/** A process that converts files into nothing, and says how much memory that took. Arguments: format, inputs. */
import { readFileSync } from "node:fs";
import { convertFiles } from "../src/index.ts";

/** The most memory this process has had. On Linux not by `getrusage`, which counts what the parent had when it forked. */
function peakBytes(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))![1]) * 1024;
}

const [format, ...inputs] = process.argv.slice(2);
let bytes = 0;
const count = async (piece: Uint8Array): Promise<void> => {
  bytes += piece.length;
};
const { tensors } = await convertFiles(inputs, count, { format: format! });
process.send?.({ tensors, bytes, peakBytes: peakBytes() });
process.disconnect?.();
