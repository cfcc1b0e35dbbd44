/** The page of the tests: bundled as a web application would bundle the packages, and served on localhost. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname } from "node:path";
import { build, type Rolldown } from "vite";

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};

/** What the bundler made: the files by their paths, and the modules that went into them. */
export interface Bundle {
  readonly files: ReadonlyMap<string, string | Uint8Array>;
  readonly modules: readonly string[];
  readonly warnings: readonly string[];
}

/** Bundles `page.html` and what it imports, with the conditions of browsers; nothing is written. */
export async function bundlePage(): Promise<Bundle> {
  const warnings: string[] = [];
  const output = (await build({
    root: import.meta.dirname,
    configFile: false,
    logLevel: "silent",
    build: {
      write: false,
      target: "es2023",
      // A file stays a file, however small: the page has to fetch the kernels.
      assetsInlineLimit: 0,
      modulePreload: false,
      rolldownOptions: {
        input: `${import.meta.dirname}/page.html`,
        onLog: (level, log) => {
          if (level === "warn") warnings.push(log.message);
        },
      },
    },
  })) as Rolldown.RolldownOutput;
  const files = new Map<string, string | Uint8Array>();
  const modules: string[] = [];
  for (const part of output.output) {
    files.set(`/${part.fileName}`, part.type === "chunk" ? part.code : part.source);
    if (part.type === "chunk") modules.push(...part.moduleIds);
  }
  return { files, modules, warnings };
}

/** A server of a bundle. */
export interface Site {
  readonly origin: string;
  /** The paths that were asked for, in order. */
  readonly requests: string[];
  /** Paths that are refused once with this status, then served. */
  readonly failing: Map<string, number>;
  close(): Promise<void>;
}

/** Serves a bundle on a free port of localhost. */
export async function serve({ files }: Bundle): Promise<Site> {
  const requests: string[] = [];
  const failing = new Map<string, number>();
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    requests.push(path);
    const status = failing.get(path);
    failing.delete(path);
    const content = files.get(path);
    if (status !== undefined || content === undefined) {
      response.writeHead(status ?? 404).end();
      return;
    }
    response.writeHead(200, {
      "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
      // What shared memory asks for.
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
      "Cache-Control": "no-store",
    });
    response.end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, requests, failing, close: () => closed(server) };
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
