"""One daemon per folder, also if several users share it."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hfdmd.instance import AlreadyRunning, instance_lock
from tests.daemon_process import Daemon
from tests.fakehub import HubServer
from tests.no_flock import KINDS, needs_seccomp, without_flock

root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else, which takes root")
NOBODY = 65534


def outcome_as_nobody(work: Callable[[], None]) -> str:
    """The name of what `work` raises in a process of another user; empty when it raises nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told = "?"
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
            told = ""
        except BaseException as error:
            told = f"{type(error).__name__} {getattr(error, 'pid', '')}"
        finally:
            os.write(writing, told.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as told_by_child:
        return told_by_child.read()


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in which every user can create files; not `tmp_path`, whose parents are closed to other users."""
    with tempfile.TemporaryDirectory(prefix="hfd-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


def hold(file: Path, what: Path) -> None:
    with instance_lock(file, what):
        pass


def test_a_second_one_is_told_of_the_first(tmp_path: Path) -> None:
    with instance_lock(tmp_path / "lock", tmp_path):
        with pytest.raises(AlreadyRunning) as told:
            hold(tmp_path / "lock", tmp_path)
        assert told.value.pid == os.getpid()
    hold(tmp_path / "lock", tmp_path)


@needs_seccomp
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_one_daemon_where_the_disk_has_no_kernel_locks(hub: HubServer, tmp_path: Path, kind: str) -> None:
    hub.add_repo("o/n", {"a.json": b"{}"})
    daemon = Daemon(tmp_path / "h", hub.endpoint, wrapper=without_flock(kind))
    with daemon:
        daemon.wait(daemon.ask("o/n", "a.json")["id"], "done")
        for changed in ({}, {"HFDMD_STATE_DIR": str(tmp_path / "other")}):  # the state, and the cache alone
            second = Daemon(tmp_path / "h", hub.endpoint, wrapper=without_flock(kind), **changed).run_to_end()
            assert second.returncode == 75
            assert f"pid {daemon.pid}" in second.stderr
        daemon.kill_and_start()
        assert daemon.ask("o/n", "a.json")["status"] == "done"
    assert not list((tmp_path / "h").rglob("hfdmd.lock.soft"))


@root
def test_the_lock_of_another_user_is_waited_for_and_taken_over(shared: Path) -> None:
    file = shared / "lock"
    with instance_lock(file, shared):
        assert stat.S_IMODE(file.stat().st_mode) & 0o002 == 0
        assert outcome_as_nobody(lambda: hold(file, shared)) == f"AlreadyRunning {os.getpid()}"
    assert outcome_as_nobody(lambda: hold(file, shared)) == ""


@root
def test_a_folder_that_may_not_be_written_is_called_so(shared: Path) -> None:
    shared.chmod(0o755)
    assert outcome_as_nobody(lambda: hold(shared / "lock", shared)).startswith("PermissionError")


def test_the_locks_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        hold(tmp_path / "lock", tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o664
