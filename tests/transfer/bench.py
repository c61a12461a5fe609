"""Shared by the transfer tests: an engine for the test Hub, and a job that records its checkpoints."""

from __future__ import annotations

import asyncio
import hashlib
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hfdmd.config import Limits
from hfdmd.net.origin import RedirectPolicy, Target
from hfdmd.net.retry_after import RetryAfter
from hfdmd.record import Digest, Span
from hfdmd.transfer.engine import Engine
from hfdmd.transfer.job import Job
from tests.fakehub import HubServer, SeededContent, seeded

MiB = 1 << 20
REPO = "owner/name"
FILE = "model.safetensors"


def limits(**changes: Any) -> Limits:
    """Settings for tests: a short stall timeout, else the defaults."""
    values: dict[str, Any] = {
        "max_connections": 128,
        "max_connections_per_file": 16,
        "bandwidth_bytes_per_s": 0,
        "stall_timeout_s": 3.0,
    }
    return Limits(**(values | changes))


@asynccontextmanager
async def engine_for(hub: HubServer, **changes: Any) -> AsyncIterator[Engine]:
    """An engine that may connect to the test Hub; `open_part` is passed on, other changes are for `limits`."""
    options = {"open_part": changes.pop("open_part")} if "open_part" in changes else {}
    engine = Engine(RetryAfter(), RedirectPolicy(hub.endpoint), limits(**changes), "hfdmd-test", **options)
    try:
        yield engine
    finally:
        await engine.close()


@dataclass
class FileDownload:
    """One file on the test Hub and the job that fetches it."""

    hub: HubServer
    content: SeededContent
    part: Path
    digest: Digest | None
    size_bytes: int | None
    checkpoints: list[list[Span]] = field(default_factory=list)
    located: int = 0
    mismatches: int = 0
    file: str = FILE

    @property
    def synced(self) -> list[Span]:
        return self.checkpoints[-1] if self.checkpoints else []

    async def locate(self) -> Target:
        """As the hub package does: a fresh signed URL of the CDN."""
        self.located += 1
        return Target(await asyncio.to_thread(signed_url, self.hub, self.file))

    async def checkpoint(self, spans: list[Span]) -> None:
        self.checkpoints.append(spans)

    def mismatched(self) -> int:
        self.mismatches += 1
        return self.mismatches

    def job(self, **changes: Any) -> Job:
        """The job, resuming from the last checkpoint."""
        values: dict[str, Any] = {
            "id": "job",
            "flow": "job",
            "part": self.part,
            "size_bytes": self.size_bytes,
            "digest": self.digest,
            "synced": list(self.synced),
            "locate": self.locate,
            "checkpoint": self.checkpoint,
            "mismatched": self.mismatched,
        }
        return Job(**(values | changes))

    def is_right(self) -> bool:
        """Whether the part file holds the content."""
        with self.part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self.content.sha256

    @property
    def sent_twice(self) -> int:
        """Body bytes that the CDN sent beyond the file's size."""
        return max(0, self.hub.sent_bytes(self.file) - len(self.content))


def file_download(
    hub: HubServer, folder: Path, length: int = 20 * MiB, *, seed: int = 1, **changes: Any
) -> FileDownload:
    """A repo with one file of `length` pseudo-random bytes."""
    content = seeded(length, seed=seed)
    hub.add_repo(REPO, {FILE: content})
    values: dict[str, Any] = {"digest": f"sha256:{content.sha256}", "size_bytes": length}
    return FileDownload(hub, content, folder / "file.part", **(values | changes))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def signed_url(hub: HubServer, file: str, revision: str = "main") -> str:
    """Where the Hub's resolve route redirects to."""
    request = urllib.request.Request(f"{hub.endpoint}/{REPO}/resolve/{revision}/{file}", method="HEAD")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=10) as answer:
            return str(answer.url)
    except urllib.error.HTTPError as error:
        with error:
            return str(error.headers["Location"])


async def until(condition: Callable[[], bool], deadline_s: float = 20.0) -> None:
    """Poll until `condition` holds; AssertionError when it does not in time."""
    ends = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends, "the condition did not hold in time"
        await asyncio.sleep(0.005)


def unread_bytes(engine: Engine) -> int:
    """Bytes of all connections that the kernel has received and the engine has not read."""
    return sum(connection.unread_bytes for connection in engine._http.pool._open)


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled(), task.exception()


Locate = Callable[[], Awaitable[Target]]
