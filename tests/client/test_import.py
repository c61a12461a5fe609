"""The client is small: what importing it and running the command loads, and what it must not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hfdmd_client

HEAVY = {"aiohttp", "huggingface_hub", "httpx2", "rich", "click", "typer", "tqdm", "asyncio", "ssl", "http.client"}
BUDGET_MB = 25


def loaded_by(code: str) -> set[str]:
    program = f"import sys; before = set(sys.modules); {code}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_but_itself() -> None:
    assert not loaded_by("import hfdmd_client") & (HEAVY | {"msgspec", "h11"})


def test_the_blocking_client_needs_little() -> None:
    assert not loaded_by("from hfdmd_client import Client; Client(socket='x')") & HEAVY


def test_the_asyncio_client_needs_no_aiohttp() -> None:
    assert not loaded_by("from hfdmd_client import AsyncClient") & (HEAVY - {"asyncio", "ssl"})


def test_nothing_of_the_daemon_but_the_wire() -> None:
    code = "import hfdmd_client.cli.app, hfdmd_client.async_client, hfdmd_client.hf_api, hfdmd_client.spawn"
    mine = {name for name in loaded_by(code) if name.startswith("hfdmd.")}
    assert {name for name in mine if not name.startswith("hfdmd.wire")} == set()


def test_the_version_is_told_without_rich() -> None:
    code = "from hfdmd_client.cli.app import run; run(['--version'])"
    assert not loaded_by(code) & (HEAVY - {"click"})


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_over_a_bare_python() -> None:
    def resident_kb(code: str) -> int:
        tell = "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmRSS')))"
        done = subprocess.run([sys.executable, "-c", f"{code}\n{tell}"], capture_output=True, text=True, check=True)
        return int(done.stdout)

    bare = resident_kb("pass")
    assert resident_kb("import hfdmd_client") - bare < 2 * 1024
    assert resident_kb("from hfdmd_client import Client, AsyncClient, Download") - bare < BUDGET_MB * 1024


def test_every_public_name_is_there() -> None:
    for name in hfdmd_client.__all__:
        assert getattr(hfdmd_client, name) is not None
    assert set(hfdmd_client.__all__) <= set(dir(hfdmd_client))
    assert hfdmd_client.__version__
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        hfdmd_client.Nothing  # noqa: B018 - looking it up is the test
