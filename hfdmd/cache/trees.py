"""The list of a commit's files on disk, in the format of the Hub's client.

Source of the format: `huggingface_hub._tree_cache`. It lets the client detect an incomplete snapshot offline. The
client's own files are readable by their owner only; those of hfdmd by all users that may read the cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hfdmd import names
from hfdmd.cache.folders import Folders
from hfdmd.digest import split
from hfdmd.durable import replace_at
from hfdmd.record import Entry
from hfdmd.wire.types import MALFORMED


class _Tree(msgspec.Struct):
    files: dict[str, msgspec.Raw]


_TREE = msgspec.json.Decoder(_Tree)


def write_tree(folders: Folders, above: tuple[str, ...], commit: str, entries: Iterable[Entry], temporary: str) -> None:
    """Write `trees/<commit>.json` in the folder `above`, atomically by renaming `temporary`. Raises OSError."""
    folder = folders.open((*above, "trees"), make=True)
    replace_at(folder, f"{commit}.json", temporary, _parts(sorted(entries, key=lambda entry: entry.path)))
    folders.mark_changed((*above, "trees"))
    folders.sync()


def read_paths(folders: Folders, above: tuple[str, ...], commit: str) -> list[str]:
    """The legal paths in the tree file of a commit; empty when there is no valid one."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with open(os.open(f"{commit}.json", flags, dir_fd=folders.open((*above, "trees"))), "rb") as file:
            return [path for path in _TREE.decode(file.read()).files if names.path_problem(path) is None]
    except (OSError, *MALFORMED):
        return []


def _parts(entries: list[Entry]) -> Iterator[bytes]:
    yield b'{\n "format_version": 1,\n "files": {'
    separator = b"\n  "
    for entry in entries:
        yield separator + msgspec.json.encode(entry.path) + b": " + msgspec.json.encode(_tree_file(entry))
        separator = b",\n  "
    yield b"\n }\n}"


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
