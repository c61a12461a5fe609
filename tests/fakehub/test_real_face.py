"""The face of the real Hub: the headers of published captures, and the official client downloads from it."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.fakehub import HubServer, seeded
from tests.fakehub.official import official
from tests.fakehub.raw import ask, fetch

BIG = seeded(2_000_000, seed=5)


@pytest.fixture
def face(hub: HubServer) -> HubServer:
    hub.world.real_face, hub.world.git_route = True, "resolve-cache"
    hub.add_repo("o/n", {"config.json": b'{"a": 1}', "model.safetensors": BIG}, xet=["model.safetensors"])
    hub.add_repo("o/gated", {"config.json": b"{}"}, gated=True)
    return hub


def url(hub: HubServer, path: str, repo: str = "o/n") -> str:
    return f"{hub.endpoint}/{repo}/resolve/main/{path}"


def names(head: bytes) -> list[str]:
    return [line.partition(b":")[0].decode() for line in head.split(b"\r\n")[1:] if line]


def test_a_large_file_has_two_etags_on_two_hops(face: HubServer) -> None:
    first = ask(url(face, "model.safetensors"), "HEAD")
    assert first.status == 302
    assert first.headers["x-linked-etag"] == f'"{BIG.sha256}"'
    assert first.headers["x-linked-size"] == "2000000"
    assert first.headers["cache-control"] == "no-store"
    assert first.headers["ratelimit"] == '"resolvers";r=2998;t=173'
    assert 'rel="xet-auth"' in first.headers["link"]
    second = fetch(url(face, "model.safetensors"))
    assert second.body == BIG.read()
    assert second.headers["etag"] == f'"{first.headers["x-xet-hash"]}"'
    assert second.headers["x-hf-cdn-pop"]
    assert not {"x-linked-etag", "x-repo-commit", "ratelimit", "last-modified"} & second.headers.keys()


def test_a_small_file_is_behind_resolve_cache(face: HubServer) -> None:
    first = ask(url(face, "config.json"), "HEAD")
    assert first.status == 307
    assert first.headers["location"].startswith("/api/resolve-cache/models/o/n/")
    assert first.headers["x-repo-commit"]
    assert ask(f"{face.endpoint}{first.headers['location']}").body == b'{"a": 1}'


def test_errors(face: HubServer) -> None:
    missing = ask(url(face, "nope.bin"))
    assert (missing.status, missing.body) == (404, b"Entry not found")
    assert missing.headers["x-error-code"] == "EntryNotFound"
    assert missing.headers["x-repo-commit"]
    assert ask(url(face, "config.json", "o/gated")).headers["x-error-code"] == "GatedRepo"


def test_names_are_in_lower_case(face: HubServer) -> None:
    parts = urlsplit(url(face, "model.safetensors"))
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as sock:
        sock.sendall(f"HEAD {parts.path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n".encode())
        head = b"".join(iter(lambda: sock.recv(65536), b""))
    own = {"Server", "Date", "Connection", "Content-Type"}  # of aiohttp itself
    assert [name for name in names(head) if name not in own and name != name.lower()] == []


@pytest.mark.slow
def test_the_official_client_downloads_from_it(face: HubServer, tmp_path: Path) -> None:
    got = official(
        'result = [hf_hub_download("o/n", "model.safetensors"), snapshot_download("o/n")]', face.endpoint, tmp_path
    )
    assert Path(got[0]).read_bytes() == BIG.read()
    assert Path(got[1], "config.json").read_bytes() == b'{"a": 1}'
    missing = official('hf_hub_download("o/n", "nope.bin")', face.endpoint, tmp_path)
    assert missing["error"] == "RemoteEntryNotFoundError"
