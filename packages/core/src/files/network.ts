/**
 * Finds out whether a directory lies on a network file system. A store does not belong there: its lock and
 * its catalog rely on byte-range locks and shared memory, which such file systems emulate badly or not at all
 * between machines.
 *
 * Linux says it by the magic number in statfs; FUSE hides many kinds behind one number, so its name comes
 * from the mount table. macOS says it in the output of `mount`, Windows by the form of the path (UNC). What
 * cannot be found out counts as local.
 *
 * 9p and virtiofs are not in the list: virtual machines, sandboxes and containers mount their own local disks
 * that way.
 */
import { execFile } from "node:child_process";
import { readFile, realpath, statfs } from "node:fs";
import { dirname, resolve } from "node:path";

/** statfs magic numbers (linux/magic.h and the file systems' own headers) of network file systems. */
const networkMagics: ReadonlyMap<number, string> = new Map([
  [0x6969, "nfs"],
  [0x517b, "smb"],
  [0xfe534d42, "smb2"],
  [0xff534d42, "cifs"],
  [0x564c, "ncp"],
  [0x5346414f, "afs"],
  [0x6b414653, "afs"],
  [0x73757245, "coda"],
  [0x00c36400, "ceph"],
  [0x0bd00bd0, "lustre"],
  [0x47504653, "gpfs"],
  [0x19830326, "beegfs"],
  [0x7461636f, "ocfs2"],
  [0x01161970, "gfs2"],
]);

const FUSE_MAGIC = 0x65735546;

/** Parts of FUSE type names that stand for storage on another machine. */
const remoteFuse =
  /sshfs|s3|gcs|rclone|gluster|ceph|goofys|juicefs|curlftpfs|davfs|blobfuse|moosefs|mfs|nfs|smb|hdfs|seaweed|minio/;

/** File system types in the output of macOS's `mount` that are remote. */
const remoteDarwin = /^(nfs|smbfs|afpfs|webdav|cifs|ftp|macfuse|osxfuse)$/;

/** Largest output of `mount` that is read: thousands of mounts fit. */
const MOUNT_OUTPUT_BYTES = 1024 * 1024;
/** How long `mount` may take; a dead server can make it hang. */
const MOUNT_TIMEOUT_MS = 2000;

/**
 * The network file system that `path` lies on, or the nearest parent that exists; undefined for a local one.
 */
export async function networkKind(path: string): Promise<string | undefined> {
  const full = await existing(resolve(path));
  if (process.platform === "win32") return full.startsWith("\\\\") ? "smb" : undefined;
  if (process.platform === "darwin") return kindInMounts(await darwinMounts(), full);
  const magic = await magicOf(full);
  if (magic !== FUSE_MAGIC) return magic === undefined ? undefined : kindOfMagic(magic);
  const type = mountedType(await mountTable(), full);
  return type !== undefined && remoteFuse.test(type) ? type : undefined;
}

/** The kind of network file system that has this statfs magic; undefined for any other. */
export function kindOfMagic(magic: number): string | undefined {
  // Some architectures give it as a negative 32-bit number.
  return networkMagics.get(magic >>> 0);
}

/** Type of the mount that `path` lies on, from the text of /proc/self/mountinfo. */
export function mountedType(mountInfo: string, path: string): string | undefined {
  let best: { point: string; type: string } | undefined;
  for (const line of mountInfo.split("\n")) {
    const [before, after] = line.split(" - ");
    const point = before?.split(" ")[4];
    const type = after?.split(" ")[0];
    if (point === undefined || type === undefined) continue;
    // Spaces and backslashes are written as octal escapes.
    const plain = point.replace(/\\([0-7]{3})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 8)),
    );
    // A later mount hides an earlier one at the same place.
    if (isInside(path, plain) && plain.length >= (best?.point.length ?? 0)) best = { point: plain, type };
  }
  return best?.type;
}

/** The kind of remote mount that `path` lies on, from the output of macOS's `mount`. */
export function kindInMounts(output: string, path: string): string | undefined {
  let best: { point: string; type: string } | undefined;
  for (const line of output.split("\n")) {
    const found = / on (\/.*) \(([^,)]+)/.exec(line);
    if (found === null) continue;
    const [, point, type] = found as unknown as [string, string, string];
    if (isInside(path, point) && point.length >= (best?.point.length ?? 0)) best = { point, type };
  }
  return best !== undefined && remoteDarwin.test(best.type) ? best.type : undefined;
}

function isInside(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

/** The real path of `path`, or of the nearest parent that exists. */
async function existing(path: string): Promise<string> {
  for (let candidate = path; ; candidate = dirname(candidate)) {
    const real = await new Promise<string | undefined>((fulfil) => {
      realpath(candidate, (error, found) => fulfil(error === null ? found : undefined));
    });
    if (real !== undefined) return real;
    if (candidate === dirname(candidate)) return candidate;
  }
}

function magicOf(path: string): Promise<number | undefined> {
  return new Promise((fulfil) => {
    statfs(path, (error, facts) => fulfil(error === null ? facts.type : undefined));
  });
}

function mountTable(): Promise<string> {
  return new Promise((fulfil) => {
    readFile("/proc/self/mountinfo", "utf8", (error, text) => fulfil(error === null ? text : ""));
  });
}

function darwinMounts(): Promise<string> {
  return new Promise((fulfil) => {
    const options = { maxBuffer: MOUNT_OUTPUT_BYTES, timeout: MOUNT_TIMEOUT_MS };
    execFile("/sbin/mount", options, (error, output) => fulfil(error === null ? output : ""));
  });
}
