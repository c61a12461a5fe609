import { createServer, request, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import type { NextApiRequest, NextApiResponse } from "next";
import { afterEach, beforeEach, expect, test } from "vitest";

import { allowAll, createApiHandler } from "../../src/next-pages.js";
import { FakeDaemon, until } from "./daemon.js";

let daemon: FakeDaemon;
let app: Server;
let parses: boolean;

// As Next's Pages Router calls a handler: `query` and, unless the route switches it off, a parsed `body`.
beforeEach(async () => {
  daemon = await FakeDaemon.start();
  const handler = createApiHandler({ authorize: allowAll, socket: daemon.socket });
  parses = true;
  app = createServer((req, res) => {
    void (async () => {
      const url = new URL(req.url ?? "/", "http://app");
      const api = Object.assign(req, { query: Object.fromEntries(url.searchParams) }) as unknown as NextApiRequest;
      const caught = url.pathname.split("/catch/")[1];
      if (caught) (api.query as Record<string, unknown>).path = caught.split("/");
      if (parses) {
        const chunks: Buffer[] = [];
        for await (const chunk of req) chunks.push(chunk as Buffer);
        const text = Buffer.concat(chunks).toString();
        api.body = text === "" ? {} : (JSON.parse(text) as unknown); // Next gives {} for an empty JSON body
      }
      await handler(api, res as unknown as NextApiResponse);
    })();
  });
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  app.closeAllConnections();
  await new Promise((resolve) => app.close(resolve));
  await daemon.stop();
});

function open(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { port } = app.address() as AddressInfo;
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const req = request(
      {
        port,
        host: "127.0.0.1",
        method,
        path,
        agent: false,
        headers: {
          "Content-Type": "application/json",
          ...headers,
          ...(sent ? { "Content-Length": Buffer.byteLength(sent) } : {}),
        },
      },
      resolve,
    );
    req.on("error", reject);
    req.end(sent);
  });
}

async function text(response: IncomingMessage): Promise<string> {
  let all = "";
  for await (const chunk of response) all += String(chunk);
  return all;
}

test.each([true, false])("a body goes through, parsed by Next or not (%s)", async (parsed) => {
  parses = parsed;
  const response = await open("POST", "/api/download", { modelRepo: "a/b", filePath: "c" });
  expect(response.statusCode).toBe(200);
  expect(daemon.seen[0]).toMatchObject({ url: "/api/download", body: '{"modelRepo":"a/b","filePath":"c"}' });
});

test.each([true, false])("a body that is too long is 413 (%s)", async (parsed) => {
  parses = parsed;
  const response = await open("POST", "/api/download", { modelRepo: "x".repeat(70_000) });
  expect(response.statusCode).toBe(413);
  expect(daemon.seen).toEqual([]);
});

test("DELETE needs no body; a folder of the server is refused there too", async () => {
  expect((await open("DELETE", "/api/download?id=a")).statusCode).toBe(200);
  expect(daemon.seen[0]).toMatchObject({ method: "DELETE", url: "/api/download?id=a", body: "" });
  expect((await open("DELETE", "/api/download?id=a&deleteFile=true")).statusCode).toBe(403);
});

test("a catch-all route takes one part and no more", async () => {
  expect((await open("GET", "/api/catch/info")).statusCode).toBe(200);
  expect((await open("GET", "/api/catch/x/info")).statusCode).toBe(404);
});

test("cross-site writes are refused", async () => {
  const response = await open("POST", "/api/pause", { all: true }, { "Sec-Fetch-Site": "cross-site" });
  expect(response.statusCode).toBe(403);
  expect(daemon.seen).toEqual([]);
});

test("events pass as they come; a visitor who leaves ends the daemon's stream", async () => {
  const response = await open("GET", "/api/progress", undefined, {
    Accept: "text/event-stream",
    "Accept-Encoding": "gzip",
  });
  expect(response.headers).toMatchObject({
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
  });
  expect(response.headers["content-encoding"]).toBeUndefined();
  daemon.send("progress", { id: "a", path: "/secret" });
  const [chunk] = (await new Promise((resolve) => response.once("data", (data) => resolve([data])))) as [Buffer];
  expect(chunk.toString()).toBe('event: progress\nid: 1\ndata: {"id":"a","path":null}\n\n');
  response.destroy();
  await until(() => daemon.streams.size === 0, "the daemon's stream closed");
});

test("a stream that the daemon cuts ends for the visitor", async () => {
  const response = await open("GET", "/api/progress", undefined, { Accept: "text/event-stream" });
  daemon.send("ready", {});
  setTimeout(() => daemon.streams.forEach((res) => res.destroy()), 10);
  expect(await text(response)).toContain("event: ready");
});
