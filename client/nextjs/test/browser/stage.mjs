// The environment of the browser tests: the fake Hub, the real daemon on its Unix socket, the example in production mode.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = resolve(here, "../../../..");
const example = resolve(here, "../../example");
const python = resolve(process.cwd(), process.env.HFDMD_PYTHON ?? join(root, ".venv/bin/python"));
const require = createRequire(join(example, "package.json"));

/** Waits until `check` returns a truthy value; the error names the condition. */
export async function until(what, check, limitMs = 10_000) {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${limitMs} ms for: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

export class Stage {
  static async open() {
    const stage = new Stage();
    stage.folder = await mkdtemp(join(tmpdir(), "hfdmd-browser-"));
    stage.socket = join(stage.folder, "d.sock");
    stage.cache = join(stage.folder, "hf", "hub");
    try {
      await stage.startHub();
      await stage.startDaemon();
      await stage.startApp();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  async startHub() {
    this.hub = spawn(python, [join(here, "hub.py")], {
      cwd: root,
      env: { ...process.env, PYTHONPATH: root },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.lines = createInterface({ input: this.hub.stdout })[Symbol.asyncIterator]();
    this.endpoint = (await this.line()).endpoint;
  }

  async line() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error("the test Hub is gone");
    return JSON.parse(value);
  }

  /** Sends a command to the fake Hub; see hub.py. */
  async tell(told) {
    this.hub.stdin.write(`${JSON.stringify(told)}\n`);
    return this.line();
  }

  async startDaemon() {
    const env = {
      PATH: process.env.PATH,
      HOME: this.folder,
      HFDMD_STATE_DIR: join(this.folder, "state"),
      HFDMD_SOCKET: this.socket,
      HFDMD_MAX_ACTIVE_DOWNLOADS: "3",
      HFDMD_MIN_FREE_BYTES: "0",
      HF_HOME: join(this.folder, "hf"),
      HF_ENDPOINT: this.endpoint,
      PYTHONPATH: root,
    };
    this.daemon = spawn(python, ["-m", "hfdmd.service"], {
      cwd: this.folder,
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.daemonLog = "";
    this.daemon.stderr.on("data", (chunk) => (this.daemonLog += chunk));
    const { daemon } = this;
    await until("the daemon to answer", async () => {
      if (daemon.exitCode !== null) throw new Error(`the daemon ended:\n${this.daemonLog}`);
      return (await this.ask("/api/health").catch(() => null))?.status === 200;
    });
  }

  async stopDaemon(signal = "SIGTERM") {
    await stop(this.daemon, signal);
  }

  /** Sends a request directly to the daemon, not through the app. */
  ask(path, method = "GET", body) {
    return new Promise((done, fail) => {
      const sent = body === undefined ? undefined : JSON.stringify(body);
      const headers = sent ? { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(sent) } : {};
      const asked = request({ socketPath: this.socket, path, method, headers, agent: false }, (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (chunk) => (text += chunk));
        answer.on("end", () => done({ status: answer.statusCode, text, json: () => JSON.parse(text) }));
        answer.on("error", fail);
      });
      asked.on("error", fail);
      asked.end(sent);
    });
  }

  /** Calls back with each event of the daemon's own stream; returns a function that closes it. */
  async listen(onEvent) {
    const asked = request({
      socketPath: this.socket,
      path: "/api/progress",
      headers: { Accept: "text/event-stream" },
      agent: false,
    });
    const answer = await new Promise((done, fail) => asked.on("response", done).on("error", fail).end());
    let rest = "";
    answer.on("error", () => undefined); // ended by ourselves
    answer.setEncoding("utf8").on("data", (chunk) => {
      const blocks = (rest + chunk).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const data = /^data: ?(.*)$/m.exec(block);
        if (data) onEvent(/^event: ?(.*)$/m.exec(block)?.[1], JSON.parse(data[1]));
      }
    });
    return () => asked.destroy();
  }

  /** The number of open streams, as the daemon counts them. */
  async streams() {
    return Number(/^hfdmd_listeners (\S+)$/m.exec((await this.ask("/metrics")).text)[1]);
  }

  async startApp(more = {}) {
    this.port = await freePort();
    this.url = `http://localhost:${this.port}`;
    const env = {
      ...process.env,
      HFDMD_SOCKET: this.socket,
      NEXT_TELEMETRY_DISABLED: "1",
      NODE_ENV: "production",
      ...more,
    };
    this.app = spawn(
      process.execPath,
      [require.resolve("next/dist/bin/next"), "start", "-H", "localhost", "-p", String(this.port)],
      {
        cwd: example,
        env,
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    this.appLog = "";
    for (const out of [this.app.stdout, this.app.stderr]) out.on("data", (chunk) => (this.appLog += chunk));
    await until(
      "the app to answer",
      async () => {
        if (this.app.exitCode !== null) throw new Error(`the app ended:\n${this.appLog}`);
        return (await fetch(this.url).catch(() => null))?.ok;
      },
      30_000,
    );
  }

  async stopApp() {
    await stop(this.app, "SIGTERM");
  }

  async close() {
    await Promise.all([this.stopApp(), this.stopDaemon()]);
    this.hub?.stdin.end();
    await stop(this.hub, "SIGTERM");
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function stop(child, signal) {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise((done) => child.once("exit", done));
  child.kill(signal);
  const last = setTimeout(() => child.kill("SIGKILL"), 15_000);
  await over;
  clearTimeout(last);
}

function freePort() {
  return new Promise((done, fail) => {
    const server = createServer();
    server.on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}
