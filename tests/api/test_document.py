"""The OpenAPI document: current, served, and consistent with the validation of names."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from hfdmd.wire import openapi, validate
from hfdmd.wire.errors import InvalidField
from tests.daemon_process import Daemon

COMMITTED = Path(__file__).parents[2] / "client" / "openapi.json"


def test_the_committed_document_is_current() -> None:
    assert openapi.main(["--check", str(COMMITTED)]) == 0, "run python -m hfdmd.wire.openapi client/openapi.json"


def test_the_daemon_serves_it(shared: Daemon) -> None:
    assert shared.get("/api/openapi.json").json == msgspec.json.decode(COMMITTED.read_bytes())


NAMES = [
    *("a", "a/b", "a..b", "a--b", "a.git", "a/b.git", "../x", "a/", "/a", "a//b", ".a", "a/.b", "a.lock", "a.", "v1.0"),
    *("refs/pr/1", "a b", "a~1", "@{", "x@{y", "a\n", "", "..", "C:x", "c:/x", "a\\b", "/", "/a/", "/a/./b", "//a"),
    *("a:b", "-a", "a-", "_", "a._b", "\u2028", "a/..", "./a", ".git", "a.git/b", "/a b/ü", "x" * 97, "x" * 256),
    *("/a/../b", "\x00", "\x85", "a/b/c", "a?", "a*", "a[", "a^", "/-", "ü"),
]


@pytest.mark.parametrize(
    ("rule", "pattern", "most"),
    [
        (validate.repo_id, validate.REPO_ID_PATTERN, 193),
        (validate.file_path, validate.FILE_PATH_PATTERN, validate.MAX_PATH_BYTES),
        (validate.revision, validate.REVISION_PATTERN, validate.MAX_REVISION_BYTES),
        (validate.local_dir, validate.LOCAL_DIR_PATTERN, validate.MAX_PATH_BYTES),
    ],
)
def test_pattern_and_code_agree(rule: object, pattern: str, most: int) -> None:
    # In JSON Schema $ is the end of the text; in Python it also matches before a final line feed.
    compiled = re.compile(pattern.replace("$", r"\Z"))
    for name in NAMES:
        try:
            rule(name)  # type: ignore[operator]
        except InvalidField:
            legal = False
        else:
            legal = True
        assert legal is (compiled.search(name) is not None and len(name) <= most), ascii(name)
