"""The list of a commit's files on disk, in the format of the Hub's client.

Source of the format: `huggingface_hub._tree_cache`. It lets the client detect an incomplete snapshot offline. The
client's own files are readable by their owner only; those of hfdmd by all users that may read the cache.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any

import msgspec

from hfdmd import names
from hfdmd.cache.folders import Folders
from hfdmd.digest import split
from hfdmd.durable import open_new, sync_file, write_all
from hfdmd.record import Entry
from hfdmd.wire.types import MALFORMED

_WRITE_BYTES = 1024 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class _Tree(msgspec.Struct):
    files: dict[str, msgspec.Raw]


_TREE = msgspec.json.Decoder(_Tree)


def write_tree(folders: Folders, above: tuple[str, ...], commit: str, entries: Iterable[Entry], temporary: str) -> None:
    """Write `trees/<commit>.json` in the folder `above`, atomically by renaming `temporary`. Raises OSError."""
    folder = folders.open((*above, "trees"), make=True)
    fd = open_new(temporary, folder)
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
    folders.mark_changed((*above, "trees"))
    folders.sync()


def read_paths(folders: Folders, above: tuple[str, ...], commit: str) -> list[str]:
    """The legal paths in the tree file of a commit; empty when there is no valid one."""
    try:
        fd = os.open(f"{commit}.json", _READ, dir_fd=folders.open((*above, "trees")))
        with open(fd, "rb") as file:
            return [path for path in _TREE.decode(file.read()).files if names.path_problem(path) is None]
    except (OSError, *MALFORMED):
        return []


def _write(fd: int, entries: list[Entry]) -> None:
    buffer = bytearray(b'{\n "format_version": 1,\n "files": {')
    separator = b"\n  "
    for entry in entries:
        buffer += separator + msgspec.json.encode(entry.path) + b": " + msgspec.json.encode(_tree_file(entry))
        separator = b",\n  "
        if len(buffer) > _WRITE_BYTES:
            write_all(fd, bytes(buffer))
            buffer.clear()
    write_all(fd, bytes(buffer) + b"\n }\n}")


def _tree_file(entry: Entry) -> dict[str, Any]:
    source = entry.source
    tree_file: dict[str, Any] = {"size": source.size_bytes, "blob_id": entry.blob_id}
    kind, digits = (None, None) if source.digest is None else split(source.digest)
    if kind == "sha256":
        tree_file["lfs_sha256"] = digits
        tree_file["lfs_size"] = source.size_bytes
    if source.xet_hash is not None:
        tree_file["xet_hash"] = source.xet_hash
    return tree_file
