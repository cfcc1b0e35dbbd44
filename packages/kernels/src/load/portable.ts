/** Browsers and other hosts: modules are fetched. Not compiled while streaming, because many static servers send no WebAssembly type. */

/** The bytes of the module at `url`. */
export async function loadBytes(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.href}: HTTP status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
