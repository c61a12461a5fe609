import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";

/** An address where a daemon may listen: a Unix socket, or a URL with its token. */
export type Place = { socket: string } | { url: string; token: string | undefined };

/** The address of the daemon, if it is not the one in the environment. */
export interface Daemon {
  /** Path of the Unix socket. Default: `HFDMD_SOCKET`, else where the daemon listens by default. */
  socket?: string;
  /** Base URL of a daemon that listens on TCP. Default: `HFDMD_URL`. */
  url?: string;
  /** The token that goes with `url`. Default: `HFDMD_TOKEN`. It never reaches the browser. */
  token?: string;
}

type Environment = Record<string, string | undefined>;

const SYSTEM_SOCKET = process.platform === "darwin" ? "/var/run/hfdmd.sock" : "/run/hfdmd.sock";

/**
 * The addresses to try, in order; an address that was set explicitly is the only one.
 * The order is that of the daemon's own clients (`HFDMD_URL`, `HFDMD_SOCKET`, the runtime folder, the state folder, the system service).
 */
export async function* places(daemon: Daemon = {}, env: Environment = process.env): AsyncGenerator<Place> {
  if (daemon.socket) return yield { socket: absolute(daemon.socket, env) };
  const url = daemon.url ?? env.HFDMD_URL;
  if (url) return yield { url, token: daemon.token ?? env.HFDMD_TOKEN };
  if (env.HFDMD_SOCKET) return yield { socket: absolute(env.HFDMD_SOCKET, env) };
  if (env.XDG_RUNTIME_DIR) yield { socket: join(env.XDG_RUNTIME_DIR, "hfdmd.sock") };
  const state = env.HFDMD_STATE_DIR
    ? absolute(env.HFDMD_STATE_DIR, env)
    : join(env.HOME || homedir(), ".local", "state", "hfdmd");
  const known = await socketOf(join(state, "endpoint.json"));
  if (known) yield { socket: known };
  yield { socket: join(state, "hfdmd.sock") };
  yield { socket: SYSTEM_SOCKET };
}

function absolute(path: string, env: Environment): string {
  return path.startsWith("~/") ? join(env.HOME || homedir(), path.slice(2)) : resolve(path);
}

/** The socket in the `endpoint.json` that a daemon wrote; undefined if the file is missing or unreadable. */
async function socketOf(file: string): Promise<string | undefined> {
  try {
    const { socket } = JSON.parse(await readFile(file, "utf8")) as { socket?: unknown };
    return typeof socket === "string" && isAbsolute(socket) ? socket : undefined;
  } catch {
    return undefined; // no daemon has run with this state folder; the next address is tried
  }
}
