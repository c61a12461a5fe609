"""`$XDG_RUNTIME_DIR` of another user, as after `su` or `sudo -E`: the socket is in the state folder, and it says so."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hfdmd.wire.endpoint import daemon_addresses
from tests.daemon.test_unwritable import OBEYS_MODES
from tests.daemon_process import Daemon, new_folder
from tests.fakehub import HubServer

root = pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user, which takes root")


@pytest.fixture
def home() -> Iterator[Path]:
    with new_folder() as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("ours", None),
        ("to be created", None),
        pytest.param("of another user", "belongs to the user with uid 12345, not to 0", marks=root),
        pytest.param("not to be created", "is missing, and cannot be written", marks=root),
        pytest.param("not writable", "cannot be written", marks=root),
    ],
)
def test_the_socket_is_where_it_can_be(hub: HubServer, home: Path, kind: str, said: str | None) -> None:
    above = home / "run"
    runtime = above / "user"
    above.mkdir()
    wrapper: Sequence[str] = ()
    if kind not in ("to be created", "not to be created"):
        runtime.mkdir(mode=0o500 if kind == "not writable" else 0o700)
    if kind == "of another user":
        os.chown(runtime, 12345, 12345)
    elif said is not None:
        above.chmod(0o555)
        wrapper = OBEYS_MODES
    daemon = Daemon(home, hub.endpoint, wrapper=wrapper, XDG_RUNTIME_DIR=str(runtime))
    del daemon.env["HFDMD_SOCKET"]
    daemon.socket = (runtime if said is None else daemon.state) / "hfdmd.sock"
    with daemon:
        assert daemon.get("/api/info").json["socket"] == str(daemon.socket)
        assert daemon.socket in [address.socket for address in daemon_addresses(daemon.env)]
        if said is None:
            assert "XDG_RUNTIME_DIR" not in daemon.log
        else:
            assert f"XDG_RUNTIME_DIR={runtime} {said}: listening on {daemon.socket} instead" in daemon.log
