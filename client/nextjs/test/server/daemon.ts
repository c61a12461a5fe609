/** A fake daemon: a `node:http` server on a temporary Unix socket that records requests and sends prepared answers. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Seen {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export class FakeDaemon {
  readonly seen: Seen[] = [];
  readonly streams = new Set<ServerResponse>();
  answer: (seen: Seen, res: ServerResponse) => void = (_seen, res) => json(res, 200, { status: "ok" });

  private readonly server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("end", () => {
      const seen = {
        method: req.method ?? "",
        url: req.url ?? "",
        headers: req.headers,
        body: Buffer.concat(chunks).toString("utf8"),
      };
      this.seen.push(seen);
      if (req.headers.accept !== "text/event-stream") return this.answer(seen, res);
      res.writeHead(200, { "Content-Type": "text/event-stream" });
      res.flushHeaders();
      this.streams.add(res);
      res.once("close", () => this.streams.delete(res));
    });
  });

  private constructor(private readonly folder: string) {}

  static async start(): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(await mkdtemp(join(tmpdir(), "hfdmd-web-")));
    await new Promise<void>((resolve) => daemon.server.listen(daemon.socket, resolve));
    return daemon;
  }

  /** The same on a free TCP port. */
  static async startTcp(): Promise<{ daemon: FakeDaemon; url: string }> {
    const daemon = new FakeDaemon(await mkdtemp(join(tmpdir(), "hfdmd-web-")));
    await new Promise<void>((resolve) => daemon.server.listen(0, "127.0.0.1", resolve));
    return { daemon, url: `http://127.0.0.1:${(daemon.server.address() as AddressInfo).port}` };
  }

  get socket(): string {
    return join(this.folder, "d.sock");
  }

  send(event: string, data: unknown): void {
    for (const res of this.streams) res.write(`event: ${event}\nid: 1\ndata: ${JSON.stringify(data)}\n\n`);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    await rm(this.folder, { recursive: true });
  }
}

export function json(res: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  res.writeHead(status, { "Content-Type": status < 400 ? "application/json" : "application/problem+json", ...headers });
  res.end(JSON.stringify(body));
}

/** Waits until `condition` holds; fails after two seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 2000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
