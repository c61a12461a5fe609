"""`python -m tests.benchmarks.compare_http`: CPU seconds per GiB of our HTTP client and of aiohttp's, alternating.

Both fetch the same file over loopback with the whole engine: part file, hash, checkpoints. Only the transport differs.
The CPU time is the client process's, threads included; the server is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp

from hfdmd.config import Limits
from hfdmd.net.origin import RedirectPolicy, Target
from hfdmd.net.retry_after import RetryAfter
from hfdmd.record import Span
from hfdmd.transfer.engine import Engine
from hfdmd.transfer.job import Job
from hfdmd.transfer.sinks import copy_to
from hfdmd.transfer.transport import Sink, TransferError, Transport

READ_BYTES = 1 << 20


class AiohttpTransport:
    """Ranges with aiohttp's client, as `Transport` requires."""

    is_far = False
    ranged = True
    generation = 0

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.on_located: Callable[[], None] | None = None
        self.has_ranged = self.is_proven = False
        self.first_byte_s = 0.05
        self._session = session
        self._url = url

    async def fetch(self, start: int, end: int | None, sink: Sink) -> None:
        assert end is not None
        requested_at = time.monotonic()
        async with self._session.get(self._url, headers={"Range": f"bytes={start}-{end - 1}"}) as response:
            self.first_byte_s = time.monotonic() - requested_at
            self.has_ranged = self.is_proven = response.status == 206
            while sink.wanted_bytes and (data := await response.content.readany()):
                await copy_to(sink, data)

    def progressed(self) -> None:
        pass

    async def recover(self, error: TransferError, generation: int, attempt: int, **_: bool) -> None:
        raise error

    def stop_ranging(self) -> None:
        raise NotImplementedError

    def content_mismatched(self) -> None:
        raise NotImplementedError


def serve(path: Path) -> None:
    """Send ranges of one file with sendfile; prints the port."""
    size = path.stat().st_size
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def answer(connection: socket.socket) -> None:
        with suppress(ConnectionError), connection, path.open("rb") as file, connection.makefile("rb") as lines:
            while head := b"".join(iter(lines.readline, b"\r\n")):
                found = re.search(rb"bytes=(\d+)-(\d+)", head)
                assert found is not None
                start, end = int(found[1]), int(found[2]) + 1
                connection.sendall(
                    b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\n\r\n"
                    % (end - start, start, end - 1, size)
                )
                connection.sendfile(file, start, end - start)

    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


async def fetch(kind: str, url: str, part: Path, size_bytes: int, digest: str, connections: int) -> dict[str, float]:
    """One transfer; CPU and wall seconds."""

    async def locate() -> Target:
        return Target(url)

    async def checkpoint(spans: list[Span]) -> None:
        pass

    limits = Limits(128, connections, bandwidth_bytes_per_s=0, stall_timeout_s=30.0)
    engine = Engine(RetryAfter(), RedirectPolicy(url), limits, "compare")
    job = Job("1", "1", part, size_bytes, digest, [], locate, checkpoint, lambda: 2)
    async with aiohttp.ClientSession(auto_decompress=False, read_bufsize=READ_BYTES) as session:
        if kind == "aiohttp":
            transport: Transport = AiohttpTransport(session, url)
            engine._transport = lambda job: transport  # type: ignore[method-assign]  # the one place that chooses it
        cpu_s, wall_s = time.process_time(), time.monotonic()
        await engine.fetch(job)
        measured = {"cpu_s": time.process_time() - cpu_s, "wall_s": time.monotonic() - wall_s}
    await engine.close()
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=16, help="of the file, at most")
    parser.add_argument("--child", nargs=6, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve)
    if options.child is not None:
        kind, url, part, size, digest, connections = options.child
        print(json.dumps(asyncio.run(fetch(kind, url, Path(part), int(size), digest, int(connections)))))
        return
    command = [sys.executable, "-m", "tests.benchmarks.compare_http"]
    with tempfile.TemporaryDirectory(prefix="compare-http-") as folder:
        source, part = Path(folder) / "source", Path(folder) / "part"
        hasher = hashlib.sha256()
        with source.open("wb") as file:
            for _ in range(options.gib << 5):
                block = os.urandom(32 << 20)
                hasher.update(block)
                file.write(block)
        size, digest = options.gib << 30, f"sha256:{hasher.hexdigest()}"
        server = subprocess.Popen([*command, "--serve", str(source)], stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/file"
        found: dict[str, list[dict[str, float]]] = {"own": [], "aiohttp": []}
        try:
            for _ in range(options.rounds):
                for kind, runs in found.items():
                    child = [*command, "--child", kind, url, str(part), str(size), digest, str(options.connections)]
                    runs.append(json.loads(subprocess.check_output(child, text=True)))
                    part.unlink()
        finally:
            server.kill()
            server.wait()
    for kind, runs in found.items():
        cpu = sorted(run["cpu_s"] / options.gib for run in runs)
        wall = sorted(run["wall_s"] for run in runs)
        print(
            f"{kind}: CPU s/GiB median {statistics.median(cpu):.2f} ({cpu[0]:.2f} to {cpu[-1]:.2f}), "
            f"wall s median {statistics.median(wall):.2f} ({wall[0]:.2f} to {wall[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
