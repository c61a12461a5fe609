import { ClientRequest } from "node:http";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { type RouteOptions } from "../../src/next.js";
import { callOf, code, type Init } from "./call.js";
import { FakeDaemon, json, until } from "./daemon.js";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(async () => {
  await daemon.stop();
});

const call = (method: "GET" | "POST" | "PATCH" | "DELETE", path: string, init?: Init) =>
  callOf(daemon, method, path, init);

describe("folders in answers", () => {
  const download = {
    path: "/home/ann/.cache/hub/x.gguf",
    localDir: "/srv/my models",
    modelRepo: "owner/name",
    filePath: "sub/x.gguf",
    detail:
      "cannot write '/home/ann/.cache/hub/x' nor /srv/my models/y: no space (see https://huggingface.co/owner/name)",
    error: null,
  };

  test("are stripped", async () => {
    daemon.answer = (_seen, res) =>
      json(res, 200, {
        downloads: [download],
        repos: [],
        cacheDir: "/c",
        stateDir: "/s",
        socket: "/r",
        pid: 1,
        freeBytes: 5,
      });
    const response = await call("GET", "progress");
    expect(await response.json()).toEqual({
      downloads: [
        {
          ...download,
          path: null,
          localDir: "…",
          detail: "cannot write '…' nor …/y: no space (see https://huggingface.co/owner/name)",
        },
      ],
      repos: [],
      freeBytes: 5,
    });
    expect(response.headers.get("vary")).toBe("Accept");
  });

  test("unless the app shows them", async () => {
    daemon.answer = (_seen, res) => json(res, 200, { downloads: [download], cacheDir: "/c" });
    const response = await call("GET", "progress", { options: { exposePaths: true } });
    expect(await response.json()).toEqual({ downloads: [download], cacheDir: "/c" });
  });

  test("in a problem's sentence too", async () => {
    daemon.answer = (_seen, res) => json(res, 403, { code: "forbidden_path", detail: "/srv/x is not below /data" });
    expect(await (await call("POST", "download", { body: {} })).json()).toMatchObject({ detail: "… is not below …" });
  });
});

describe("the stream", () => {
  const accept = { Accept: "text/event-stream" };

  test("passes events as they come, unbuffered and without folders", async () => {
    const response = await call("GET", "progress", { headers: { ...accept, "Last-Event-ID": "7" } });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
      vary: "Accept",
    });
    expect(daemon.seen[0]?.headers["last-event-id"]).toBe("7");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (const progress of [1, 2, 3]) {
      daemon.send("progress", { id: "é", progress, path: "/secret" });
      const { value } = await reader.read();
      expect(new TextDecoder().decode(value)).toBe(
        `event: progress\nid: 1\ndata: {"id":"é","progress":${progress},"path":null}\n\n`,
      );
    }
    await reader.cancel();
    await until(() => daemon.streams.size === 0, "the daemon's stream closed after the reader left");
  });

  test("an event in pieces waits for its end, comments pass", async () => {
    const response = await call("GET", "progress", { headers: accept });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const [res] = daemon.streams;
    const bytes = Buffer.from('data: {"id":"é","localDir":"/x"}\n\n');
    res?.write(": alive\n\n");
    expect(new TextDecoder().decode((await reader.read()).value)).toBe(": alive\n\n");
    const cut = bytes.indexOf("é") + 1; // in the middle of a character
    res?.write(bytes.subarray(0, cut));
    await new Promise((resolve) => setImmediate(resolve));
    res?.write(bytes.subarray(cut));
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('data: {"id":"é","localDir":"…"}\n\n');
    await reader.cancel();
  });

  test.each([true, false])("ends at the daemon when the visitor leaves (exposePaths %s)", async (exposePaths) => {
    const left = new AbortController();
    const response = await call("GET", "progress", { headers: accept, signal: left.signal, options: { exposePaths } });
    expect(response.status).toBe(200);
    expect(daemon.streams.size).toBe(1);
    left.abort();
    await until(() => daemon.streams.size === 0, "the daemon's stream closed after the abort");
  });

  test("ends for the visitor when the daemon cuts it", async () => {
    const response = await call("GET", "progress", { headers: accept });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    daemon.send("progress", { id: "a" });
    expect((await reader.read()).done).toBe(false);
    for (const res of daemon.streams) res.destroy();
    expect((await reader.read()).done).toBe(true);
  });

  test.each([true, false])("ends when the daemon falls silent (exposePaths %s)", async (exposePaths) => {
    const inTime = ClientRequest.prototype.setTimeout;
    const setTimeout = vi.spyOn(ClientRequest.prototype, "setTimeout").mockImplementation(function (
      this: ClientRequest,
      _ms,
      then,
    ) {
      return inTime.call(this, 50, then);
    });
    try {
      const response = await call("GET", "progress", { headers: accept, options: { exposePaths } });
      expect(setTimeout).toHaveBeenCalledWith(45_000, expect.any(Function));
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      const rest = async () => {
        while (!(await reader.read()).done);
      };
      await rest().catch(() => undefined); // an end or an error: an EventSource takes either for a reason to come again
      await until(() => daemon.streams.size === 0, "the daemon's stream closed");
    } finally {
      setTimeout.mockRestore();
    }
  });

  test("does not hold up the end of the process", async () => {
    const response = await call("GET", "progress", { headers: accept });
    const others = process.listeners("SIGTERM");
    expect(others.length).toBeGreaterThan(0);
    const keep = () => undefined; // with another listener there the module does not end this process
    process.on("SIGTERM", keep);
    process.emit("SIGTERM");
    expect(await response.text()).toBe("");
    expect(response.headers.get("connection")).toBe("close");
    const late = await call("GET", "info"); // a browser's next try over a connection that was kept
    expect([late.status, late.headers.get("connection")]).toEqual([503, "close"]);
    process.off("SIGTERM", keep);
    const key = Symbol.for("hfdmd-nextjs.streams");
    (globalThis as unknown as Record<symbol, unknown>)[key] = undefined;
  });
});

describe("the daemon's absence", () => {
  test("is a clean 503, logged once per outage and without its place in the answer", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const options = { socket: "/nowhere/hfdmd.sock" };
    const first = await call("GET", "info", { options });
    expect(first.status).toBe(503);
    expect(first.headers.get("retry-after")).toBe("2");
    const problem = await first.text();
    expect(problem).toContain('"daemon_unreachable"');
    expect(problem).not.toContain("nowhere");
    expect((await call("GET", "progress", { options, headers: { Accept: "text/event-stream" } })).status).toBe(503);
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls[0]?.[0]).toContain("/nowhere/hfdmd.sock (ENOENT)");
    expect((await call("GET", "info")).status).toBe(200);
    await call("GET", "info", { options });
    expect(warn).toHaveBeenCalledTimes(2);
    await call("GET", "info");
    warn.mockRestore();
  });

  test("so is an answer that breaks off, and one that is no JSON", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    daemon.answer = (_seen, res) => {
      res.writeHead(200, { "Content-Length": "100" });
      res.write("{", () => res.destroy());
    };
    expect((await call("GET", "info")).status).toBe(503);
    daemon.answer = (_seen, res) => void res.destroy();
    expect((await call("GET", "info")).status).toBe(503);
    daemon.answer = (_seen, res) => void res.end("<html>");
    expect((await call("GET", "info")).status).toBe(503);
    daemon.answer = (_seen, res) => json(res, 200, {});
    expect((await call("GET", "info")).status).toBe(200);
    warn.mockRestore();
  });
});

describe("over TCP", () => {
  test("the token goes to the daemon alone; its 401 is a 502", async () => {
    const { daemon: tcp, url } = await FakeDaemon.startTcp();
    tcp.answer = (seen, res) =>
      seen.headers.authorization === "Bearer right" ? json(res, 200, {}) : json(res, 401, { code: "unauthorized" });
    const env = { HFDMD_URL: url, HFDMD_TOKEN: "right" };
    try {
      Object.assign(process.env, env);
      const options = { socket: undefined } as Partial<RouteOptions>;
      expect((await call("GET", "info", { options })).status).toBe(200);
      expect(tcp.seen[0]?.headers.host).toBe(new URL(url).host);
      process.env.HFDMD_TOKEN = "wrong"; // read at each request
      const refused = await call("GET", "info", { options });
      expect(refused.status).toBe(502);
      expect(await code(refused)).toBe("daemon_unauthorized");
    } finally {
      for (const name of Object.keys(env)) delete process.env[name];
      await tcp.stop();
    }
  });
});
