import { StringDecoder } from "node:string_decoder";
import { Transform } from "node:stream";

/** Replaces a folder that the browser may not see. It is not null, which would mean the Hub's cache. */
export const HIDDEN = "…";

const DROPPED = new Set(["cacheDir", "stateDir", "socket", "url", "pid"]);
const MAX_EVENT_CHARS = 4 * 1024 * 1024;

/** `value` without paths of this machine: `path`, `localDir`, the daemon's folders and addresses, paths in messages. */
export function redact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redact);
  if (value === null || typeof value !== "object") return value;
  const known = [(value as Fields).path, (value as Fields).localDir].filter((path) => typeof path === "string");
  const shown: Fields = {};
  for (const [key, field] of Object.entries(value)) {
    if (DROPPED.has(key)) continue;
    if (key === "path") shown[key] = null;
    else if (key === "localDir") shown[key] = field === null ? null : HIDDEN;
    else if ((key === "detail" || key === "error") && typeof field === "string") shown[key] = hidePaths(field, known);
    else shown[key] = redact(field);
  }
  return shown;
}

type Fields = Record<string, unknown>;

/** Replaces each absolute path in `text` by `…`. Repo ids and URLs are left alone. */
export function hidePaths(text: string, known: readonly string[] = []): string {
  return known
    .reduce((rest, path) => rest.replaceAll(path, HIDDEN), text)
    .replace(/(['"`])~?\/[^'"`\n]*\1/g, `$1${HIDDEN}$1`)
    .replace(/(^|[\s(=,;:<[])~?\/(?!\/)[^\s,;:)>\]'"`]+/g, `$1${HIDDEN}`);
}

/** A transform that redacts the data of each server-sent event as soon as the event is complete. */
export function redactEvents(): Transform {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const blocks = (rest + decoder.write(chunk)).split(/\r?\n\r?\n/);
      rest = blocks.pop() ?? "";
      if (rest.length > MAX_EVENT_CHARS) return done(new Error("The daemon sent an event that is too long"));
      try {
        done(null, blocks.map((block) => `${redactBlock(block)}\n\n`).join(""));
      } catch {
        done(new Error("The daemon sent an event that is not JSON")); // never forwarded unredacted
      }
    },
  });
}

function redactBlock(block: string): string {
  const lines = block.split(/\r?\n/);
  const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
  if (data.length === 0) return block;
  const others = lines.filter((line) => !line.startsWith("data:"));
  return [...others, `data: ${JSON.stringify(redact(JSON.parse(data.join("\n"))))}`].join("\n");
}
