"""The test Hub with its CAS in a process of its own, filled by the official uploader."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from pathlib import Path

from tests.fakehub import HubServer
from tests.fakehub.official_xet import xet_upload

REPO = "bench/xet"


@dataclass(frozen=True, slots=True)
class XetMade:
    """A file that was uploaded; `packed_bytes` is what a download of all of it receives."""

    name: str
    xet_hash: str
    size_bytes: int
    packed_bytes: int
    sha256: str


class XetHub:
    """Runs in the other process."""

    def __init__(self, folder: Path) -> None:
        self._hub = HubServer(xet=folder).start()
        self._hub.add_repo(REPO, {})

    def endpoint(self) -> str:
        return self._hub.endpoint

    def commit(self, name: str, path: Path, uploaded: str) -> XetMade:
        """A commit with that file, which the official client has uploaded as `uploaded`."""
        file = self._hub.cas.files[uploaded]
        self._hub.commit(REPO, {name: path}, xet=True)
        if self._hub.repo(REPO).xet_paths.get(uploaded) != name:
            raise AssertionError(f"{name} is not the file that was uploaded")
        return XetMade(name, uploaded, file.size_bytes, self._hub.cas.packed_bytes(file), file.sha256)

    def pace(self, bytes_per_s: float, latency_s: float) -> None:
        """A limit of each answer, and a delay before each."""
        self._hub.per_connection_bytes_per_s = bytes_per_s
        self._hub.latency_s = latency_s

    def stop(self) -> None:
        self._hub.stop()


class _Manager(BaseManager):
    pass


_Manager.register("XetHub", XetHub)


@contextmanager
def xet_hub(folder: Path) -> Iterator[XetHub]:
    """A running Hub whose xorbs are below `folder`."""
    (folder / "xorbs").mkdir(parents=True)
    with _Manager(ctx=get_context("spawn")) as manager:
        hub: XetHub = manager.XetHub(folder / "xorbs")  # type: ignore[attr-defined]  # made by `register`
        try:
            yield hub
        finally:
            hub.stop()


def put(hub: XetHub, folder: Path, name: str, data: Iterable[bytes]) -> XetMade:
    """Uploads `data` with hf_xet and commits it."""
    path, digest = folder / name, hashlib.sha256()
    with path.open("wb") as file:
        for piece in data:
            file.write(piece)
            digest.update(piece)
    (uploaded,) = xet_upload(hub.endpoint(), REPO, folder / "uploader", [path])
    made = hub.commit(name, path, uploaded)
    path.unlink()
    if made.sha256 != digest.hexdigest():
        raise AssertionError(f"{name} was not stored as it is")
    return made
