"""Names of files and folders on disk, in the Hub's cache and in local folders. Validates all parts of a path.

Source: `huggingface_hub.file_download` and `_local_folder`.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Literal

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
METADATA_FOLDER = (".cache", "huggingface")
"""The folder of the Hub client's metadata in a local folder."""

_TEMPORARY = re.compile(r"hfdmd-(?:[0-9a-f]{32}\.(?:part|new|book|tree)|[0-9a-f]{16}\.tmp)")


def part_name(download_id: str) -> str:
    """The name of a part file. Not `*.incomplete`, which `hf cache prune` deletes."""
    return f"hfdmd-{download_id}.part"


def own_name(download_id: str, kind: Literal["new", "book", "tree"]) -> str:
    """A temporary name that the next attempt overwrites, whatever a crash left under it.

    `new`: a small file or a copy; `book`: a file's metadata in a local folder; `tree`: a commit's list of files.
    """
    return f"hfdmd-{download_id}.{kind}"


def temporary_name() -> str:
    """A unique name for a file that is renamed at once."""
    return f"hfdmd-{os.urandom(8).hex()}.tmp"


def is_temporary(name: str) -> bool:
    """Whether `name` is that of a part file or a temporary file of hfdmd."""
    return _TEMPORARY.fullmatch(name) is not None


@lru_cache(maxsize=256)
def repo_folder(repo_type: RepoType, repo: str) -> str:
    """`models--owner--name`. Raises `Failure` (internal) for an illegal repo id, as in a tampered tracker file."""
    try:
        return "--".join([f"{repo_type.value}s", *validate.repo_id(repo).split("/")])
    except InvalidField as error:
        raise Failure(Reason.INTERNAL, str(error)) from None


@lru_cache(maxsize=256)
def ref_parts(revision: str) -> tuple[str, ...]:
    """The path of a ref below `refs/`. Raises `Failure` (internal) for an illegal revision."""
    try:
        return tuple(validate.revision(revision).split("/"))
    except InvalidField as error:
        raise Failure(Reason.INTERNAL, str(error)) from None


@lru_cache(maxsize=1024)  # called several times for each file of a batch
def file_parts(path: str) -> tuple[str, ...]:
    """The path of a file in a snapshot or a local folder. Raises `Failure` (internal) for an illegal path."""
    if problem := names.path_problem(path):
        raise Failure(Reason.INTERNAL, f"The file's path {ascii(path)[:100]} {problem}.")
    return tuple(path.split("/"))


def is_metadata(path: str) -> bool:
    """Whether the path of a repo's file is in the folder of the Hub client's metadata, on any file system."""
    return tuple(part.lower() for part in path.split("/")[:2]) == METADATA_FOLDER


def describe(spec: FileSpec) -> str:
    """The file and the folder it goes to, for the detail of a failure."""
    where = spec.local_dir or f"{repo_folder(spec.repo_type, spec.model_repo)} in the cache"
    return f"{spec.file_path} ({where})"


def check_source(source: Source) -> None:
    """Raises `Failure` (internal) when a source's commit or etag is not legal as a name."""
    if not is_commit(source.commit) or not is_etag(source.etag):
        raise Failure(Reason.INTERNAL, "The tracker has an illegal commit or etag.")


def check(spec: FileSpec, source: Source) -> None:
    """`check_source` and a check of the file's path, which may not be in the Hub client's metadata of a local folder.

    Raises `Failure`: internal for illegal names, path_taken for a file that would overwrite metadata.
    """
    check_source(source)
    file_parts(spec.file_path)
    if spec.local_dir is not None and is_metadata(spec.file_path):
        raise Failure(
            Reason.PATH_TAKEN,
            f"{spec.file_path} is in the folder of the Hub client's metadata ({'/'.join(METADATA_FOLDER)}).",
        )
