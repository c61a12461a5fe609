import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { allowAll, createRouteHandlers, type RouteOptions } from "../../src/next.js";
import { FakeDaemon, json, until } from "./daemon.js";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(async () => {
  await daemon.stop();
});

const SAME = { "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin", Host: "localhost:3000" };

interface Init {
  body?: unknown;
  raw?: string;
  headers?: Record<string, string>;
  options?: Partial<RouteOptions>;
  params?: string[];
  signal?: AbortSignal;
}

function call(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, init: Init = {}): Promise<Response> {
  const handlers = createRouteHandlers({ authorize: allowAll, socket: daemon.socket, ...init.options });
  const body = init.raw ?? (init.body === undefined ? undefined : JSON.stringify(init.body));
  const request = new Request(`http://localhost:3000/api/hfdmd/${path}`, {
    method,
    headers: { ...SAME, ...init.headers },
    ...(body === undefined ? {} : { body }),
    ...(init.signal ? { signal: init.signal } : {}),
  });
  // Request drops Host as a browser would; a server's request has it.
  const headers = new Headers(request.headers);
  const host = { ...SAME, ...init.headers }.Host;
  const get = headers.get.bind(headers);
  request.headers.get = (name: string) => (name === "host" ? host || null : get(name));
  return handlers[method](request, init.params ? { params: Promise.resolve({ path: init.params }) } : undefined);
}

const code = async (response: Response) => ((await response.json()) as { code: string }).code;

describe("the fixed list of calls", () => {
  test.each([
    ["POST", "download", "/api/download"],
    ["PATCH", "download", "/api/download"],
    ["DELETE", "download?id=a1", "/api/download?id=a1"],
    ["POST", "pause", "/api/pause"],
    ["POST", "resume", "/api/resume"],
    ["POST", "cancel", "/api/cancel"],
    ["POST", "retry", "/api/retry"],
    ["GET", "progress?modelRepo=a%2Fb&limit=5", "/api/progress?modelRepo=a%2Fb&limit=5"],
    ["GET", "files?modelRepo=a%2Fb", "/api/files?modelRepo=a%2Fb"],
    ["GET", "info", "/api/info"],
    ["GET", "health", "/api/health"],
  ] as const)("%s %s is forwarded", async (method, path, forwarded) => {
    const response = await call(method, path, method === "POST" || method === "PATCH" ? { body: { id: "a1" } } : {});
    expect(response.status).toBe(200);
    expect(daemon.seen).toHaveLength(1);
    expect(daemon.seen[0]).toMatchObject({ method, url: forwarded });
  });

  test.each(["metrics", "openapi.json", "settings", "download%2f..%2fmetrics", "..%2fmetrics", "", "DOWNLOAD"])(
    "GET %s is 404 and forwarded nowhere",
    async (path) => {
      const response = await call("GET", path);
      expect(response.status).toBe(404);
      expect(await code(response)).toBe("not_found");
      expect(daemon.seen).toEqual([]);
    },
  );

  test("a longer path under a catch-all route is 404", async () => {
    expect((await call("GET", "x/info", { params: ["x", "info"] })).status).toBe(404);
    expect((await call("GET", "info", { params: ["info"] })).status).toBe(200);
  });

  test("a method that the path does not know is 405 and says which it knows", async () => {
    const response = await call("DELETE", "pause");
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
    expect((await call("GET", "download")).headers.get("allow")).toBe("POST, PATCH, DELETE");
    expect(daemon.seen).toEqual([]);
  });

  test("settings are there only when the app says so", async () => {
    const options = { allowSettings: true };
    expect((await call("GET", "settings", { options })).status).toBe(200);
    expect((await call("PATCH", "settings", { options, body: { bandwidthLimit: 1 } })).status).toBe(200);
    expect(daemon.seen.map((seen) => seen.method)).toEqual(["GET", "PATCH"]);
  });

  test("an unknown or doubled parameter is refused", async () => {
    expect((await call("GET", "progress?debug=1")).status).toBe(400);
    expect((await call("DELETE", "download?deleteFile=false&deleteFile=true")).status).toBe(400);
    expect(daemon.seen).toEqual([]);
  });
});

describe("who may", () => {
  test("authorize is asked first and told what it is about", async () => {
    const authorize = vi.fn(() => false);
    const response = await call("POST", "pause", { body: { all: true }, options: { authorize } });
    expect(response.status).toBe(401);
    expect(await code(response)).toBe("unauthorized");
    expect(daemon.seen).toEqual([]);
    expect(authorize).toHaveBeenCalledWith(
      expect.any(Request),
      expect.objectContaining({ name: "pause", method: "POST", all: true, body: { all: true } }),
    );
  });

  test.each([
    [{ "Sec-Fetch-Site": "cross-site" }, 403],
    [{ "Sec-Fetch-Site": "same-site" }, 403],
    [{ "Sec-Fetch-Site": "none" }, 200],
  ])("a write with %j is %i", async (headers, status) => {
    const response = await call("POST", "pause", { body: { id: "a" }, headers });
    expect(response.status).toBe(status);
    expect(daemon.seen).toHaveLength(status === 200 ? 1 : 0);
  });

  test("every writing method is under the cross-site check", async () => {
    const headers = { "Sec-Fetch-Site": "cross-site" };
    for (const [method, path] of [["POST", "download"], ["PATCH", "download"], ["DELETE", "download?all=true"]] as const) {
      const response = await call(method, path, { headers });
      expect([method, response.status, await code(response)]).toEqual([method, 403, "forbidden_origin"]);
    }
    expect(daemon.seen).toEqual([]);
  });

  test("without Sec-Fetch-Site the Origin must be the host that was asked", async () => {
    const write = async (headers: Record<string, string>) => {
      const handlers = createRouteHandlers({ authorize: allowAll, socket: daemon.socket });
      const request = new Request("http://localhost:3000/api/hfdmd/pause", { method: "POST", body: "{}" });
      const all = new Headers({ "Content-Type": "application/json", ...headers });
      request.headers.get = (name: string) => all.get(name);
      return (await handlers.POST(request)).status;
    };
    expect(await write({ Host: "localhost:3000", Origin: "http://localhost:3000" })).toBe(200);
    expect(await write({ Host: "localhost:3000", Origin: "http://localhost:4000" })).toBe(403);
    expect(await write({ Host: "localhost:3000", Origin: "null" })).toBe(403);
    expect(await write({ Host: "localhost:3000" })).toBe(200); // no browser
  });

  test("with allowAll a rebound name is refused, on reads as well", async () => {
    for (const host of ["evil.example", "evil.localhost", "localhost.evil.example", "127.0.0.1.evil.example", ""]) {
      const response = await call("GET", "info", { headers: { Host: host } });
      expect([host, response.status]).toEqual([host, 403]);
    }
    for (const host of ["localhost", "LOCALHOST:3000", "127.0.0.1:3000", "[::1]:3000", "192.168.1.5"]) {
      expect([host, (await call("GET", "info", { headers: { Host: host } })).status]).toEqual([host, 200]);
    }
    const allowedHosts = ["models.example"];
    expect((await call("GET", "info", { headers: { Host: "models.example" }, options: { allowedHosts } })).status).toBe(200);
    const authorize = () => true;
    expect((await call("GET", "info", { headers: { Host: "any.example" }, options: { authorize } })).status).toBe(200);
  });

  test.each([
    ["POST", "download", { modelRepo: "a/b", localDir: "/etc" }],
    ["POST", "cancel", { localDir: "/etc" }],
    ["DELETE", "download?id=a&deleteFile=true", undefined],
    ["DELETE", "download?id=a&deleteFile=1", undefined],
    ["DELETE", "download", { id: "a", deleteFile: true }],
    ["GET", "progress?localDir=%2Fetc", undefined],
  ] as const)("folders and files of the server: %s %s %j is refused", async (method, path, body) => {
    const response = await call(method, path, body ? { body } : {});
    expect(response.status).toBe(403);
    expect(await code(response)).toBe("forbidden_path");
    expect(daemon.seen).toEqual([]);
  });

  test("unless the app allows them", async () => {
    const options = { allowLocalDir: true, allowDeleteFile: true };
    await call("POST", "download", { body: { modelRepo: "a/b", localDir: "/srv/models" }, options });
    await call("DELETE", "download?id=a&deleteFile=true", { options });
    expect(daemon.seen.map((seen) => seen.url)).toEqual(["/api/download", "/api/download?id=a&deleteFile=true"]);
  });

  test("what was checked is what is sent: a doubled key cannot smuggle", async () => {
    await call("DELETE", "download", { raw: '{"deleteFile":true,"id":"a","deleteFile":false}' });
    expect(daemon.seen[0]?.body).toBe('{"deleteFile":false,"id":"a"}');
  });

  test("no cookie and no credentials reach the daemon, none of its headers but the known ones come back", async () => {
    daemon.answer = (_seen, res) => json(res, 200, {}, { "Set-Cookie": "a=b", Server: "hfdmd" });
    const headers = { Cookie: "session=1", Authorization: "Bearer user", Origin: "http://localhost:3000", "X-Custom": "1" };
    const response = await call("GET", "info", { headers });
    expect(Object.keys(daemon.seen[0]?.headers ?? {}).sort()).toEqual(["accept", "connection", "host"]);
    expect(response.headers.get("set-cookie")).toBeNull();
    expect(response.headers.get("server")).toBeNull();
    expect(response.headers.get("cache-control")).toBe("no-store");
  });
});

describe("bodies", () => {
  test("too long, not JSON, not application/json", async () => {
    const long = await call("POST", "download", { body: { modelRepo: "x".repeat(70_000) } });
    expect([long.status, await code(long)]).toEqual([413, "too_large"]);
    const broken = await call("POST", "download", { raw: "{" });
    expect([broken.status, await code(broken)]).toEqual([400, "malformed"]);
    const form = await call("POST", "download", { raw: "a=b", headers: { "Content-Type": "text/plain" } });
    expect([form.status, await code(form)]).toEqual([415, "unsupported_media_type"]);
    expect(daemon.seen).toEqual([]);
  });

  test("the daemon's problems come back as they are", async () => {
    daemon.answer = (_seen, res) => json(res, 503, { code: "queue_full", status: 503 }, { "Retry-After": "7" });
    const response = await call("POST", "download", { body: { modelRepo: "a/b" } });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("7");
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await code(response)).toBe("queue_full");
  });
});

describe("folders in answers", () => {
  const download = {
    path: "/home/ann/.cache/hub/x.gguf",
    localDir: "/srv/my models",
    modelRepo: "owner/name",
    filePath: "sub/x.gguf",
    detail: "cannot write '/home/ann/.cache/hub/x' nor /srv/my models/y: no space (see https://huggingface.co/owner/name)",
    error: null,
  };

  test("are stripped", async () => {
    daemon.answer = (_seen, res) =>
      json(res, 200, { downloads: [download], repos: [], cacheDir: "/c", stateDir: "/s", socket: "/r", pid: 1, freeBytes: 5 });
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

  test("does not hold up the end of the process", async () => {
    const response = await call("GET", "progress", { headers: accept });
    const others = process.listeners("SIGTERM");
    expect(others.length).toBeGreaterThan(0);
    const keep = () => undefined; // with another listener there the module does not end this process
    process.on("SIGTERM", keep);
    process.emit("SIGTERM");
    expect(await response.text()).toBe("");
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
