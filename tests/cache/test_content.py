"""What is remembered of verified files."""

from __future__ import annotations

from pathlib import Path

from hfdmd.cache import content
from hfdmd.cache.content import VerifiedFiles
from tests.cache.files import source_of


def test_the_memory_of_verified_files_is_bounded(tmp_path: Path) -> None:
    path, verified = tmp_path / "a", VerifiedFiles()
    path.write_bytes(b"content")
    for number in range(content._MAX_REMEMBERED + 2_000):
        verified.remember(path, source_of(b"%d" % number))
    assert len(verified._verified) == content._MAX_REMEMBERED
