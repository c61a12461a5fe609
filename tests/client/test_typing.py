"""What a type-checker sees: right uses pass under `mypy --strict`, wrong ones do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import hfdmd_client

pytest.importorskip("mypy")

RIGHT = """
from collections.abc import AsyncGenerator, Iterator
from typing import assert_type
from hfdmd_client import (
    Affected, AsyncClient, Client, Download, Downloads, Event, Info, RepoDownload, RepoFiles, Settings, SettingsPatch,
)

def blocking(client: Client) -> None:
    assert_type(client.download("a/b", "c"), Download)
    assert_type(client.download("a/b"), RepoDownload)
    assert_type(client.download("a/b", include=["*"], timeout_s=3), RepoDownload)
    assert_type(client.ask("a/b", "c", revision="main", priority=3, local_dir="x"), Download)
    assert_type(client.pause("a/b", "c"), Affected)
    assert_type(client.resume(id="x"), Affected)
    assert_type(client.cancel(all=True, status="queued"), Affected)
    assert_type(client.delete(model_repo="a/b", delete_file=True), Affected)
    assert_type(client.downloads("a/b", status="failed"), Downloads)
    assert_type(client.progress(id="x"), Download | RepoDownload)
    assert_type(client.files("a/b"), RepoFiles)
    assert_type(client.info(), Info)
    assert_type(client.change_settings(SettingsPatch(bandwidth_limit=None)), Settings)
    events: Iterator[Event] = client.watch("a/b")
    client.download("a/b", "c", on_progress=lambda item: print(item.file_path))
    client.download("a/b", on_progress=lambda item: print(item.files_done))

async def asynchronous(client: AsyncClient) -> None:
    assert_type(await client.download("a/b", "c"), Download)
    assert_type(await client.download("a/b"), RepoDownload)
    assert_type(client.watch(), AsyncGenerator[Event, None])
"""
WRONG = {
    'Client().download("a/b", "c", include=["*"])': "call-overload",
    'Client().download("a/b", "c", revison="main")': "call-overload",
    'Client().download("a/b", on_progress=lambda item: item.file_path)': "attr-defined",
    'Client().pause(model="a/b")': "call-arg",
    "Client().reorder(id=3)": "arg-type",
    "Client(sokcet='x')": "call-arg",
    'Client().download("a/b").file_path': "attr-defined",
}


def check(source: str, folder: Path) -> str:
    file = folder / "sample.py"
    file.write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file", "/dev/null", str(file)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "MYPYPATH": ":".join(package_roots())},
    )
    return done.stdout + done.stderr


def package_roots() -> list[str]:
    import hfdmd

    return [str(Path(package.__path__[0]).parent) for package in (hfdmd, hfdmd_client)]


def test_it_says_that_it_is_typed() -> None:
    assert (Path(hfdmd_client.__path__[0]) / "py.typed").exists()


def test_right_uses(tmp_path: Path) -> None:
    assert "Success" in check(RIGHT, tmp_path), check(RIGHT, tmp_path)


def test_wrong_uses(tmp_path: Path) -> None:
    lines = [f"{line}\n" for line in WRONG]
    found = check("from hfdmd_client import Client\n" + "".join(lines), tmp_path)
    for number, (line, code) in enumerate(WRONG.items(), start=2):
        assert any(f"sample.py:{number}:" in error and f"[{code}]" in error for error in found.splitlines()), (
            line,
            found,
        )
