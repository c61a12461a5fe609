"""A server whose responses a test writes byte by byte, for what no correct server would send."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hfdmd.config import Limits
from hfdmd.net.origin import RedirectPolicy, Target
from hfdmd.net.retry_after import RetryAfter
from hfdmd.record import Span
from hfdmd.transfer.engine import Engine
from hfdmd.transfer.job import Job
from hfdmd.transfer.xet.recipes import RecipeStore
from hfdmd.wire.types import TransportSetting


@dataclass(frozen=True)
class Request:
    """A received request: its number on this server, its head and range, and the connection to answer on."""

    number: int
    head: str
    start: int
    end: int | None
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def has_token(self) -> bool:
        return "\r\nauthorization:" in self.head.lower()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_part(self, content: bytes, *, pause_s: float = 0.0, end_with: bytes = b"") -> None:
        """206 with the requested range, piece by piece; `end_with` follows the last piece."""
        end = len(content) if self.end is None else self.end
        await self.send(
            f"HTTP/1.1 206 x\r\nContent-Range: bytes {self.start}-{end - 1}/{len(content)}\r\n"
            f"Content-Length: {end - self.start}\r\n\r\n".encode()
        )
        for at in range(self.start, end, 1 << 16):
            piece = content[at : min(end, at + (1 << 16))]
            await self.send(piece if at + len(piece) < end else piece + end_with)
            if pause_s:
                await asyncio.sleep(pause_s)


@dataclass
class Scripted:
    """The server's URL and the requests that it received."""

    url: str
    requests: list[Request] = field(default_factory=list)


@asynccontextmanager
async def scripted(answer: Callable[[Request], Awaitable[None]]) -> AsyncIterator[Scripted]:
    """A server that calls `answer` for each request; connections stay open until that closes them."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                found = re.search(r"range: bytes=(\d+)-(\d+)", head, re.IGNORECASE)
                start, end = (int(found[1]), int(found[2]) + 1) if found else (0, None)
                here.requests.append(Request(len(here.requests) + 1, head, start, end, reader, writer))
                await answer(here.requests[-1])
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has gone, or the test is over
        finally:
            writer.close()
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    here = Scripted(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield here
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@asynccontextmanager
async def an_engine(
    *,
    stall_timeout_s: float = 3.0,
    bandwidth_bytes_per_s: int = 0,
    hub: str = "http://127.0.0.1:1",
    transport: TransportSetting = "auto",
    recipes: RecipeStore | None = None,
) -> AsyncIterator[Engine]:
    """An engine that may connect to this machine, unless `hub` is elsewhere."""
    limits = Limits(
        max_connections=128,
        max_connections_per_file=16,
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        stall_timeout_s=stall_timeout_s,
        transport=transport,
    )
    engine = Engine(RetryAfter(), RedirectPolicy(hub), limits, "hfdmd-test", recipes=recipes)
    try:
        yield engine
    finally:
        await engine.close()


def a_job(folder: Path, content: bytes, locate: Callable[[], Awaitable[Target]]) -> Job:
    """The job that fetches `content`; its checkpoints are discarded."""

    async def checkpoint(spans: list[Span]) -> None:
        pass

    return Job(
        id="job",
        flow="job",
        part=folder / "file.part",
        size_bytes=len(content),
        digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
        synced=[],
        locate=locate,
        checkpoint=checkpoint,
        mismatched=iter(range(1, 10)).__next__,
    )
