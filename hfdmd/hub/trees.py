"""The list of a commit's files on disk, as the Hub's client keeps it.

Source of the format: `huggingface_hub._tree_cache`. With it the client knows offline that a snapshot is incomplete.
The client's own is readable by its writer only; ours by whoever may read the cache.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any

import msgspec

from hfdmd.durable import sync_file, write_all
from hfdmd.hub import layout
from hfdmd.hub.folders import Folders
from hfdmd.hub.listing import Entry

_WRITE_BYTES = 1024 * 1024


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


def _write(fd: int, entries: list[Entry]) -> None:
    buffer = bytearray(b'{\n "format_version": 1,\n "files": {')
    separator = b"\n  "
    for entry in entries:
        buffer += separator + msgspec.json.encode(entry.path) + b": " + msgspec.json.encode(_described(entry))
        separator = b",\n  "
        if len(buffer) > _WRITE_BYTES:
            write_all(fd, bytes(buffer))
            buffer.clear()
    write_all(fd, bytes(buffer) + b"\n }\n}")


def _described(entry: Entry) -> dict[str, Any]:
    source = entry.source
    described: dict[str, Any] = {"size": source.size_bytes, "blob_id": entry.blob_id}
    if source.digest is not None and source.digest.startswith("sha256:"):
        described["lfs_sha256"] = source.digest.removeprefix("sha256:")
        described["lfs_size"] = source.size_bytes
    if source.xet_hash is not None:
        described["xet_hash"] = source.xet_hash
    return described
