"""The list of a commit's files on disk, as the Hub's client keeps it.

Source of the format: `huggingface_hub._tree_cache`. With it the client knows offline that a snapshot is incomplete.
The client's own is readable by its writer only; ours by whoever may read the cache.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from hfdmd.durable import sync_file
from hfdmd.hub import durable, layout, names
from hfdmd.hub.folders import Folders
from hfdmd.hub.listing import Entry
from hfdmd.hub.names import PathGuard
from hfdmd.record import Source, is_commit

_WRITE_BYTES = 1024 * 1024
_FORMAT = 1


class _File(msgspec.Struct):
    """One file in the client's words."""

    size: int
    blob_id: str
    lfs_sha256: str | None = None
    lfs_size: int | None = None
    xet_hash: str | None = None

    def entry(self, path: str, commit: str) -> Entry | None:
        etag = self.blob_id if self.lfs_sha256 is None else self.lfs_sha256
        size_bytes = self.size if self.lfs_size is None else self.lfs_size
        digest = names.digest_of(etag)
        if digest is None or not names.is_sha1(self.blob_id) or not 0 <= size_bytes <= names.MAX_SIZE_BYTES:
            return None
        xet_hash = self.xet_hash if self.xet_hash is not None and names.is_sha256(self.xet_hash) else None
        source = Source(commit=commit, etag=etag, size_bytes=size_bytes, digest=digest, xet_hash=xet_hash)
        return Entry(path, source, self.blob_id)


class _Tree(msgspec.Struct):
    format_version: int
    files: dict[str, _File]


_TREE = msgspec.json.Decoder(_Tree)


def write_tree(inside: Folders, above: tuple[str, ...], commit: str, entries: Iterable[Entry]) -> None:
    """Write `trees/<commit>.json` in the folder `above`, in one step. Raises OSError."""
    folder = inside.open((*above, "trees"), make=True)
    temporary = layout.temporary_name()
    fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o666, dir_fd=folder)
    try:
        try:
            _write(fd, sorted(entries, key=lambda entry: entry.path))
            sync_file(fd)
        finally:
            os.close(fd)
        os.rename(temporary, f"{commit}.json", src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    inside.note_change((*above, "trees"))
    inside.sync()


def read_tree(above: Path, commit: str) -> list[Entry] | None:
    """The files of `above/trees/<commit>.json`, whoever wrote it; None when it is not there or not as it should be.

    What it says is checked like the Hub's own list.
    """
    if not is_commit(commit):
        return None
    try:
        tree = _TREE.decode((above / "trees" / f"{commit}.json").read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    if tree.format_version != _FORMAT:
        return None
    guard = PathGuard()
    entries: list[Entry] = []
    for path, file in tree.files.items():
        entry = file.entry(path, commit)
        if entry is None or guard.problem(path) is not None:
            return None
        entries.append(entry)
    return entries


def _write(fd: int, entries: list[Entry]) -> None:
    buffer = bytearray(b'{\n "format_version": 1,\n "files": {')
    separator = b"\n  "
    for entry in entries:
        buffer += separator + msgspec.json.encode(entry.path) + b": " + msgspec.json.encode(_described(entry))
        separator = b",\n  "
        if len(buffer) > _WRITE_BYTES:
            durable.write_all(fd, bytes(buffer))
            buffer.clear()
    durable.write_all(fd, bytes(buffer) + b"\n }\n}")


def _described(entry: Entry) -> dict[str, Any]:
    source = entry.source
    described: dict[str, Any] = {"size": source.size_bytes, "blob_id": entry.blob_id}
    if source.digest is not None and source.digest.startswith("sha256:"):
        described["lfs_sha256"] = source.digest.removeprefix("sha256:")
        described["lfs_size"] = source.size_bytes
    if source.xet_hash is not None:
        described["xet_hash"] = source.xet_hash
    return described
