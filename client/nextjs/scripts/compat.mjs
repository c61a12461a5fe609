// Tests the packed package with all supported versions: `npm run compat [-- part of a name]`.
// For each version: installs it into a small app, runs `init` there, builds, starts, and sends requests to both routers, with a fake daemon on a Unix socket.
import { execFileSync, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createTcp } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const APPS = [
  { name: "next-14.2 react-18 tailwind-3", next: "14.2", react: "18", types: "18", tailwind: "3.4", app: true },
  { name: "next-15 react-18 tailwind-3 pages", next: "15", react: "18", types: "18", tailwind: "3.4", app: false },
  { name: "next-15 react-19 tailwind-4", next: "15", react: "19", types: "19", tailwind: "4", app: true },
  { name: "next-16 react-19 tailwind-3", next: "16", react: "19", types: "19", tailwind: "3.4", app: true },
  {
    name: "next-16 react-19 styles.css cacheComponents",
    next: "16",
    react: "19",
    types: "19",
    tailwind: null,
    app: true,
    cacheComponents: true,
  },
];

const root = fileURLToPath(new URL("../", import.meta.url));
const wanted = process.argv[2];
const folder = await mkdtemp(join(tmpdir(), "hfdmd-compat-"));
const run = (command, args, cwd) =>
  execFileSync(command, args, {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1" },
  });
let passed = 0;
let failed = 0;
try {
  const packed = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], root));
  const tarball = join(folder, (Array.isArray(packed) ? packed[0] : Object.values(packed)[0]).filename);
  for (const app of APPS) {
    if (wanted && !app.name.includes(wanted)) continue;
    const before = Date.now();
    try {
      await check(app, tarball);
      passed += 1;
      console.log(`ok    ${app.name} (${Math.round((Date.now() - before) / 1000)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${app.name}\n${error.stdout ?? ""}${error.stderr ?? ""}${error.stack}`);
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

async function check(app, tarball) {
  const at = join(folder, app.name.replaceAll(/[^a-z0-9.]/g, "-"));
  for (const [path, text] of Object.entries(filesOf(app))) {
    await mkdir(dirname(join(at, path)), { recursive: true });
    await writeFile(join(at, path), text);
  }
  const tailwind =
    app.tailwind === null
      ? []
      : app.tailwind === "4"
        ? ["tailwindcss@4", "@tailwindcss/postcss@4"]
        : ["tailwindcss@3.4", "postcss@8", "autoprefixer@10"];
  const packages = [
    tarball,
    `next@${app.next}`,
    `react@${app.react}`,
    `react-dom@${app.react}`,
    `@types/react@${app.types}`,
    "@types/node@20",
    "typescript@5.9",
    ...tailwind,
  ];
  run("npm", ["install", "--no-audit", "--no-fund", ...packages], at);
  run("npx", ["hfdmd-nextjs", "init"], at);
  run(process.execPath, ["node_modules/next/dist/bin/next", "build"], at);

  const css = (
    await Promise.all(
      (await readdir(join(at, ".next/static"), { recursive: true }))
        .filter((name) => name.endsWith(".css"))
        .map((name) => readFile(join(at, ".next/static", name), "utf8")),
    )
  ).join("");
  if (!/min-h-\\\[1\.25rem\\\]|min-h-\\\[1\\\.25rem\\\]/.test(css))
    throw new Error("the components' classes are not in the app's style sheet");

  const daemon = await fakeDaemon(join(at, "d.sock"));
  const port = await freePort();
  const server = spawn(
    process.execPath,
    ["node_modules/next/dist/bin/next", "start", "-H", "localhost", "-p", String(port)],
    {
      cwd: at,
      env: { ...process.env, HFDMD_SOCKET: join(at, "d.sock") },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let log = "";
  for (const out of [server.stdout, server.stderr]) out.on("data", (chunk) => (log += chunk));
  const ended = new Promise((done) => server.once("exit", done));
  try {
    const url = `http://localhost:${port}`;
    await until("the app", async () => (await fetch(`${url}/pages`).catch(() => null))?.ok, 20_000);
    if (!(await fetch(`${url}/downloads`)).ok) throw new Error("the page of init is not there");
    for (const page of app.app ? ["/", "/pages"] : ["/pages"]) {
      const html = await (await fetch(url + page)).text();
      if (!html.includes("Download owner/name/model.gguf")) throw new Error(`no button on ${page}`);
    }
    for (const base of app.app ? ["/api/hfdmd", "/api"] : ["/api"]) await checkRoutes(url + base, daemon);
  } catch (error) {
    throw new Error(`${error.message}\n${log}`);
  } finally {
    server.kill("SIGTERM");
    await ended;
    daemon.server.closeAllConnections();
    daemon.server.close();
  }
}

async function checkRoutes(base, daemon) {
  const info = await fetch(`${base}/info`);
  if (info.status !== 200 || !(await info.text()).includes('"version"'))
    throw new Error(`${base}/info is ${info.status}`);
  const post = await fetch(`${base}/download`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: '{"modelRepo":"a/b"}',
  });
  if (post.status !== 202 || (await post.json()).modelRepo !== "a/b")
    throw new Error(`${base}/download is ${post.status}`);
  const left = new AbortController();
  const stream = await fetch(`${base}/progress`, {
    headers: { Accept: "text/event-stream", "Accept-Encoding": "gzip" },
    signal: left.signal,
  });
  if (stream.headers.get("content-encoding") !== null) throw new Error(`${base}/progress is compressed`);
  const reader = stream.body.getReader();
  let text = "";
  const over = setTimeout(() => left.abort(), 5000);
  while (!text.includes('"n":5')) text += new TextDecoder().decode((await reader.read()).value);
  clearTimeout(over);
  left.abort();
  await until("the daemon to see the end of the stream", () => daemon.streams.size === 0, 1000);
}

function filesOf(app) {
  const button = 'import { DownloadButton, HfdmdProvider } from "hfdmd-nextjs/react";\n';
  const css = app.tailwind === null ? 'import "hfdmd-nextjs/styles.css";\n' : 'import "../globals.css";\n';
  const calls = ["download", "progress", "info"];
  return {
    "package.json": '{ "name": "compat", "version": "0.0.0", "private": true }',
    "tsconfig.json": "{}",
    "next.config.mjs": `export default ${JSON.stringify(app.cacheComponents ? { cacheComponents: true } : {})};`,
    ...(app.tailwind === "4" && {
      "globals.css": '@import "tailwindcss";\n',
      "postcss.config.mjs": 'export default { plugins: { "@tailwindcss/postcss": {} } };',
    }),
    ...(app.tailwind === "3.4" && {
      "globals.css": "@tailwind base;\n@tailwind components;\n@tailwind utilities;\n",
      "postcss.config.js": "module.exports = { plugins: { tailwindcss: {}, autoprefixer: {} } };",
      "tailwind.config.js": 'module.exports = { content: ["./app/**/*.tsx", "./pages/**/*.tsx"] };',
    }),
    "pages/_app.tsx": `${css}import type { AppProps } from "next/app";\n${button.replace("DownloadButton, ", "")}export default function App({ Component, pageProps }: AppProps) { return <HfdmdProvider basePath="/api"><Component {...pageProps} /></HfdmdProvider>; }`,
    "pages/pages.tsx": `${button.replace(", HfdmdProvider", "")}export default function Page() { return <DownloadButton modelRepo="owner/name" filePath="model.gguf" />; }`,
    ...(app.app && {
      "lib/hfdmd.ts":
        'import { allowAll, createApiHandler } from "hfdmd-nextjs/next-pages";\nexport const hfdmd = createApiHandler({ authorize: allowAll });',
      ...Object.fromEntries(
        calls.map((call) => [`pages/api/${call}.ts`, 'export { hfdmd as default } from "../../lib/hfdmd";']),
      ),
      "app/layout.tsx": `${css}export default function Layout({ children }: { children: React.ReactNode }) { return <html lang="en"><body>{children}</body></html>; }`,
      "app/page.tsx": `${button.replace(", HfdmdProvider", "").replace(" }", ", DownloadQueue, RepoFiles }")}export default function Page() { return <><DownloadButton modelRepo="owner/name" filePath="model.gguf" /><DownloadQueue /><RepoFiles modelRepo="owner/name" /></>; }`,
    }),
  };
}

async function fakeDaemon(socket) {
  const streams = new Set();
  const server = createServer((req, res) => {
    if (req.headers.accept === "text/event-stream") {
      res.writeHead(200, { "Content-Type": "text/event-stream" });
      streams.add(res);
      res.once("close", () => streams.delete(res));
      let n = 0;
      const timer = setInterval(() => (n += 1) <= 5 && res.write(`event: x\ndata: {"n":${n}}\n\n`), 50);
      res.once("close", () => clearInterval(timer));
      return;
    }
    req.resume().on("end", () => {
      res.writeHead(req.method === "POST" ? 202 : 200, { "Content-Type": "application/json" });
      res.end(JSON.stringify({ version: "0", modelRepo: "a/b" }));
    });
  });
  await new Promise((done) => server.listen(socket, done));
  return { server, streams };
}

async function until(what, condition, limitMs) {
  const deadline = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${limitMs} ms for ${what}`);
    await new Promise((done) => setTimeout(done, 25));
  }
}

function freePort() {
  return new Promise((done) => {
    const server = createTcp();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}
