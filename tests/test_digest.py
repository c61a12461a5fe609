"""Digests: what an etag is as one, and what content gives."""

from __future__ import annotations

import hashlib

import pytest

from hfdmd import digest


@pytest.mark.parametrize(
    ("etag", "expected"),
    [
        ("a" * 64, "sha256:" + "a" * 64),
        ("b" * 40, "git-sha1:" + "b" * 40),
        ("A" * 40, None),
        ("c" * 41, None),
        ("", None),
    ],
)
def test_digests_of_etags(etag: str, expected: str | None) -> None:
    assert digest.from_etag(etag) == expected


def test_each_kind_is_computed_as_the_hub_does() -> None:
    data = b"content"
    sha256 = "sha256:" + hashlib.sha256(data).hexdigest()
    git_sha1 = "git-sha1:" + hashlib.sha1(b"blob 7\0" + data).hexdigest()
    for expected in (sha256, git_sha1):
        assert digest.compute(data, expected) == expected
        hasher = digest.Hasher(expected, len(data))
        hasher.update(data[:3])
        hasher.update(memoryview(data)[3:])
        assert hasher.digest() == expected
        assert ":".join(digest.split(expected)) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("git-sha1:" + "b" * 40, True), ("sha256:" + "a" * 64, False), (None, False)]
)
def test_a_file_of_git_itself_is_known_by_its_digest(value: str | None, expected: bool) -> None:
    assert digest.is_git_blob(value) is expected


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="not a digest"):
        digest.compute(b"", "md5:" + "a" * 32)


def test_the_digest_of_nothing() -> None:
    for kind in ("sha256:" + "a" * 64, "git-sha1:" + "b" * 40):
        assert digest.is_of_empty(digest.compute(b"", kind))
        assert not digest.is_of_empty(kind)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 7\n", True),
        (b"version https://git-lfs.github.com/spec/v1\n" + b"x" * 1024, False),
        (b"version 1\n", False),
        (b"", False),
    ],
)
def test_pointers_of_lfs(data: bytes, expected: bool) -> None:
    assert digest.is_lfs_pointer(data) == expected
