"""What the Hub says is believed only when it can be true."""

from __future__ import annotations

import pytest

from hfdmd import names
from hfdmd.names import PathGuard


@pytest.mark.parametrize(
    "path",
    [
        "",
        "..",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "a/./b",
        "a\\b",
        "C:\\x",
        "D:x",
        "a/C:x",
        "\\\\host\\share",
        "a\0b",
        "a\nb",
        "\ud800",
        "x" * 256,
        "x/" * 3000 + "x",
    ],
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    assert names.path_problem(path) is not None


@pytest.mark.parametrize(
    "path", ["a", "a/b/c.json", ".gitattributes", "ü/日本.bin", "a b", "%2e%2e/x", "..x/y..", "ab:c"]
)
def test_legal_paths_pass(path: str) -> None:
    assert names.path_problem(path) is None


def test_a_path_is_listed_once_and_is_a_file_or_a_folder() -> None:
    guard = PathGuard()
    assert guard.problem("a/b/c") is None
    assert guard.problem("a/b/c") == "is listed twice"
    assert guard.problem("a/b") == "is a file and a folder"
    assert guard.problem("a") == "is a file and a folder"
    assert guard.problem("a/b/c/d") is not None
    assert guard.problem("a/b/c/d/e") is not None
    assert guard.problem("a/x") is None
    assert guard.problem("A/X") is None, "another file, unless the disk ignores case; then placing it says so"


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("12", 12), ("-1", None), ("1e3", None), ("", None), (None, None), ("9" * 17, None), ("١", None)],
)
def test_sizes(text: str | None, size: int | None) -> None:
    assert names.size_of(text) == size


@pytest.mark.parametrize(
    ("header", "etag"), [('"abc"', "abc"), ('W/"abc"', "abc"), ("abc", "abc"), ('""', None), (None, None)]
)
def test_etags_lose_their_quotes(header: str | None, etag: str | None) -> None:
    assert names.normal_etag(header) == etag
