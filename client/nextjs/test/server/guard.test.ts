import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { allowAll, createRouteHandlers } from "../../src/next.js";
import { callOf, code, type Init } from "./call.js";
import { FakeDaemon, json } from "./daemon.js";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(async () => {
  await daemon.stop();
});

const call = (method: "GET" | "POST" | "PATCH" | "DELETE", path: string, init?: Init) =>
  callOf(daemon, method, path, init);

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
    for (const [method, path] of [
      ["POST", "download"],
      ["PATCH", "download"],
      ["DELETE", "download?all=true"],
    ] as const) {
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
    expect((await call("GET", "info", { headers: { Host: "models.example" }, options: { allowedHosts } })).status).toBe(
      200,
    );
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
    const headers = {
      Cookie: "session=1",
      Authorization: "Bearer user",
      Origin: "http://localhost:3000",
      "X-Custom": "1",
    };
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
