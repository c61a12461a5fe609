"""The names of things on disk, in the Hub's cache and in a local folder; checks what it turns into paths.

Source: `huggingface_hub.file_download` and `_local_folder`.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

from hfdmd import names
from hfdmd.failure import Failure
from hfdmd.record import FileSpec, Source, is_commit, is_etag
from hfdmd.wire import validate
from hfdmd.wire.errors import InvalidField
from hfdmd.wire.types import Reason, RepoType

CACHEDIR_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file is a cache directory tag created by huggingface_hub.\n"
    "# For information about cache directory tags, see:\n"
    "#\thttps://bford.info/cachedir/\n"
)
BOOKS = (".cache", "huggingface")
"""Where a local folder keeps the Hub client's books."""

_OURS = re.compile(r"hfdmd-(?:[0-9a-f]{32}\.(?:part|new|book|tree)|[0-9a-f]{16}\.tmp)")


def part_name(download_id: str) -> str:
    """A part file's name; never `*.incomplete`, which `hf cache prune` deletes."""
    return f"hfdmd-{download_id}.part"


def new_name(download_id: str) -> str:
    """A small file's name before it is renamed; lives for moments only."""
    return f"hfdmd-{download_id}.new"


def book_name(download_id: str) -> str:
    """The name of a file's entry in a local folder's books before it is renamed. The next try overwrites it."""
    return f"hfdmd-{download_id}.book"


def tree_name(repo_download_id: str) -> str:
    """The name of a commit's list of files before it is renamed. The next listing overwrites it."""
    return f"hfdmd-{repo_download_id}.tree"


def temporary_name() -> str:
    """A name for what is renamed to its own at once."""
    return f"hfdmd-{os.urandom(8).hex()}.tmp"


def is_our_name(name: str) -> bool:
    """Whether a file is a part file of ours, or what a crash left of something shorter-lived."""
    return _OURS.fullmatch(name) is not None


@lru_cache(maxsize=256)
def repo_folder(repo_type: RepoType, repo: str) -> str:
    """`models--owner--name`. Raises `Failure` (internal) for what is no repo id, as in a tampered tracker."""
    try:
        return "--".join([f"{repo_type.value}s", *validate.repo_id(repo).split("/")])
    except InvalidField as error:
        raise Failure(Reason.INTERNAL, str(error)) from None


@lru_cache(maxsize=256)
def ref_parts(revision: str) -> tuple[str, ...]:
    """The path of a ref below `refs/`. Raises `Failure` (internal)."""
    try:
        return tuple(validate.revision(revision).split("/"))
    except InvalidField as error:
        raise Failure(Reason.INTERNAL, str(error)) from None


@lru_cache(maxsize=1024)  # called several times for each file of a batch
def file_parts(path: str) -> tuple[str, ...]:
    """The path of a file inside a snapshot or a local folder. Raises `Failure` (internal)."""
    if problem := names.path_problem(path):
        raise Failure(Reason.INTERNAL, f"The file's path {ascii(path)[:100]} {problem}.")
    return tuple(path.split("/"))


def shown(spec: FileSpec) -> str:
    """The file's place, for details."""
    where = spec.local_dir or f"{repo_folder(spec.repo_type, spec.model_repo)} in the cache"
    return f"{spec.file_path} ({where})"


def check_source(source: Source) -> None:
    """Raises `Failure` (internal) when a source's commit or etag cannot be a name."""
    if not is_commit(source.commit) or not is_etag(source.etag):
        raise Failure(Reason.INTERNAL, "The tracker names a commit or etag that is none.")


def check_local(spec: FileSpec) -> None:
    """Raises `Failure` (path_taken) for a file that would overwrite the Hub client's books in a local folder."""
    if tuple(part.lower() for part in file_parts(spec.file_path)[:2]) == BOOKS:
        raise Failure(
            Reason.PATH_TAKEN, f"{spec.file_path} lies where the Hub's client keeps its books ({'/'.join(BOOKS)})."
        )


def blob_link(parts: tuple[str, ...], etag: str) -> str:
    """What a snapshot's entry points at, as the client writes it: relative, one `../` a folder."""
    return "../" * (len(parts) + 1) + f"blobs/{etag}"
