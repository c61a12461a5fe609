"""How content is verified: the digests that the Hub's etags are, and how each kind of digest is computed. Pure.

Source of the kinds: `huggingface_hub.utils.sha`: LFS and Xet files have the sha256 of their content, all other files
the sha1 of their git blob (the content behind a header that has its length).
"""

from __future__ import annotations

import hashlib
import re

from hfdmd.failure import Failure
from hfdmd.record import Digest
from hfdmd.wire.types import Reason

POINTER_LIMIT_BYTES = 1024
"""A Git LFS pointer is shorter than this."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


def is_sha256(value: str) -> bool:
    """Whether `value` is a sha256 as the Hub writes it: 64 lower-case hex digits."""
    return _SHA256.fullmatch(value) is not None


def is_sha1(value: str) -> bool:
    """Whether `value` is a sha1 as the Hub writes it: 40 lower-case hex digits."""
    return _SHA1.fullmatch(value) is not None


def from_etag(etag: str) -> Digest | None:
    """The digest that an etag of the Hub is, None when it is none."""
    if is_sha256(etag):
        return f"sha256:{etag}"
    if is_sha1(etag):
        return f"git-sha1:{etag}"
    return None


def split(digest: Digest) -> tuple[str, str]:
    """Kind (`sha256` or `git-sha1`) and hex digits."""
    kind, _, digits = digest.partition(":")
    return kind, digits


def is_of_empty(digest: Digest) -> bool:
    """Whether it is the digest of no bytes at all."""
    return digest == compute(b"", digest)


def is_lfs_pointer(data: bytes | bytearray) -> bool:
    """Whether it is a Git LFS pointer: what git stores instead of a large file. Source: git-lfs, docs/spec.md."""
    return len(data) < POINTER_LIMIT_BYTES and data.startswith(b"version https://git-lfs.github.com/spec/")


def pointer_failure(server: str) -> Failure:
    """The failure of a download for which `server` sent the pointer instead of the content."""
    return Failure(
        Reason.HASH_MISMATCH,
        f"{server} sends the Git LFS pointer of the file instead of its content: it is a mirror without the large"
        " files. Set HF_ENDPOINT to another one.",
    )


def is_git_blob(digest: Digest | None) -> bool:
    """Whether it is the digest of a file that is in git itself, neither in LFS nor in Xet."""
    return digest is not None and split(digest)[0] == "git-sha1"


class Hasher:
    """Computes the digest of content, piece by piece. `update` takes bytes of any kind."""

    def __init__(self, like: Digest, size_bytes: int) -> None:
        """The digest is of the kind of `like`. Raises ValueError for another than the known kinds."""
        self._kind, _ = split(like)
        if self._kind == "sha256":
            algorithm = hashlib.sha256()
        elif self._kind == "git-sha1":
            algorithm = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
        else:
            raise ValueError(f"not a digest: {self._kind}")
        self._algorithm = algorithm
        self.update = algorithm.update

    def digest(self) -> Digest:
        """The digest of all content so far."""
        return f"{self._kind}:{self._algorithm.hexdigest()}"


def compute(data: bytes | bytearray | memoryview, like: Digest) -> Digest:
    """The digest of `data`, of the kind of `like`."""
    hasher = Hasher(like, len(data))
    hasher.update(data)
    return hasher.digest()
