/**
 * Addresses of records within a dataset: `[file#]tensor`, a record id, or a bare tensor name that is unique there.
 * Tensor names may hold anything, `#` included, so an address is tried as a whole name first.
 */

/** An address split at one of its `#`. */
export interface FileAddress {
  readonly file: string;
  readonly name: string;
}

/** All ways to read an address as `file#tensor`, shortest file first. */
export function fileAddresses(address: string): FileAddress[] {
  const found: FileAddress[] = [];
  for (let at = address.indexOf("#"); at >= 0; at = address.indexOf("#", at + 1)) {
    found.push({ file: address.slice(0, at), name: address.slice(at + 1) });
  }
  return found;
}

/** The full address of a record. */
export function addressOf(record: {
  filePath?: string | undefined;
  name?: string | undefined;
  idText: string;
}): string {
  if (record.name === undefined) return record.idText;
  return record.filePath === undefined ? record.name : `${record.filePath}#${record.name}`;
}
