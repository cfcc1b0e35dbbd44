import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

import { splitPlanes } from "../src/index.ts";
import { loadBytes as loadFile } from "../src/load/node.ts";
import { loadBytes as fetchBytes } from "../src/load/portable.ts";
import { expectSameBytes } from "./buffers.ts";

const file = join(import.meta.dirname, "../wasm/planes.wasm");
const server = createServer((request, response) => {
  if (request.url === "/planes.wasm") response.end(readFileSync(file));
  else response.writeHead(404).end();
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
afterAll(() => {
  server.close();
});

describe("loading", () => {
  test("from files and over HTTP gives the same bytes", async () => {
    const fetched = await fetchBytes(new URL("planes.wasm", base));
    expectSameBytes(fetched, await loadFile(new URL(`file://${file}`)));
  });

  test("names what is missing", async () => {
    await expect(fetchBytes(new URL("other.wasm", base))).rejects.toThrow(/other\.wasm: HTTP status 404/);
  });

  test("comes before use", () => {
    expect(() => splitPlanes(new Uint8Array(4), 4, true)).toThrow(/await kernelsReady\(\)/);
  });
});
