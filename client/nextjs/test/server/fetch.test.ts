import type { AddressInfo } from "node:net";
import type { Server } from "node:http";

import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { afterEach, beforeEach, expect, test } from "vitest";

import { allowAll, createFetchHandler } from "../../src/fetch.js";
import { FakeDaemon, json, until } from "./daemon.js";

let daemon: FakeDaemon;
let app: Server;
let url: string;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
  const handler = createFetchHandler({ authorize: allowAll, socket: daemon.socket });
  const hono = new Hono().all("/api/hfdmd/*", (context) => handler(context.req.raw));
  await new Promise<void>((resolve) => {
    app = serve({ fetch: hono.fetch, port: 0, hostname: "127.0.0.1" }, () => resolve()) as Server;
  });
  url = `http://127.0.0.1:${(app.address() as AddressInfo).port}/api/hfdmd`;
});
afterEach(async () => {
  app.closeAllConnections();
  await new Promise((resolve) => app.close(resolve));
  await daemon.stop();
});

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${url}/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });

test("the handler runs in Hono: calls, refusals", async () => {
  daemon.answer = (_seen, res) => json(res, 202, { id: "d1", path: "/secret" });
  const answer = await post("download", { modelRepo: "a/b" });
  expect([answer.status, await answer.json()]).toEqual([202, { id: "d1", path: null }]);
  expect(daemon.seen[0]).toMatchObject({ method: "POST", url: "/api/download", body: '{"modelRepo":"a/b"}' });
  expect((await post("pause", { all: true }, { "Sec-Fetch-Site": "cross-site" })).status).toBe(403);
  expect((await post("download", { modelRepo: "x".repeat(70_000) })).status).toBe(413);
  expect((await fetch(`${url}/metrics`)).status).toBe(404);
  expect(daemon.seen).toHaveLength(1);
});

test("the stream passes as it comes, and ends at the daemon when the visitor leaves", async () => {
  const left = new AbortController();
  const stream = await fetch(`${url}/progress`, { headers: { Accept: "text/event-stream" }, signal: left.signal });
  expect(stream.headers.get("content-type")).toBe("text/event-stream");
  const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
  for (const progress of [1, 2]) {
    daemon.send("progress", { id: "a", progress, path: "/secret" });
    expect(new TextDecoder().decode((await reader.read()).value)).toContain(
      `{"id":"a","progress":${progress},"path":null}`,
    );
  }
  left.abort();
  await until(() => daemon.streams.size === 0, "the daemon's stream closed");
});
