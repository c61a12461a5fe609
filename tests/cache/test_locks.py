"""The Hub client's locks, both ways, with a real client in another process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub.utils import WeakFileLock

from hfdmd.cache.locks import KeyedLocks
from hfdmd.cache.storage import Placed, Storage
from tests.cache.files import COMMIT, DATA, REPO, put, source_of, spec_of
from tests.fakehub import Fault, HubServer
from tests.no_flock import KINDS, needs_seccomp, without_flock

DEADLINE_S = 30.0

CLIENT = """
import sys
from huggingface_hub import hf_hub_download
print("asking", flush=True)
print(hf_hub_download(sys.argv[1], "a.bin", cache_dir=sys.argv[2], endpoint=sys.argv[3]), flush=True)
"""


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


@pytest.fixture
def client(server: HubServer, cache: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        env = {**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(cache.parent)}
        command = [sys.executable, "-c", CLIENT, REPO, str(cache), server.endpoint]
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_same_file_as_the_clients_and_no_more_rights_than_the_umask_gives(storage: Storage, cache: Path) -> None:
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True)
    old = os.umask(0o022)
    try:
        lock = storage.lock(spec, source)
    finally:
        os.umask(old)
    assert lock is not None
    path = cache / ".locks" / "models--owner--name" / f"{source.etag}.lock"
    assert path.stat().st_mode & 0o777 == 0o664 & ~0o022
    assert storage.lock(spec, source) is None
    lock.release()
    lock.release()
    assert path.exists()
    with WeakFileLock(path):
        assert storage.lock(spec, source) is None
    again = storage.lock(spec, source)
    assert again is not None
    again.release()


def test_let_go_in_another_thread(storage: Storage) -> None:
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True)
    lock = storage.lock(spec, source)
    assert lock is not None
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    again = storage.lock(spec, source)
    assert again is not None
    again.release()


@pytest.mark.parametrize("path", ["a.bin", "sub/a.tar.gz", "n" * 255])
def test_the_lock_of_a_local_folder(storage: Storage, tmp_path: Path, path: str) -> None:
    local = tmp_path / "local"
    spec, source = spec_of(path, local_dir=local), source_of(DATA)
    lock = storage.lock(spec, source)
    assert lock is not None
    if len(path) < 200:
        with (
            pytest.raises(TimeoutError),
            WeakFileLock(local / ".cache/huggingface/download" / f"{path}.lock", timeout=0.05),
        ):
            pass
    lock.release()


@needs_seccomp
@pytest.mark.parametrize("kind", KINDS)
def test_where_there_is_no_flock_the_clients_soft_lock_is_used(tmp_path: Path, kind: str) -> None:
    command = [*without_flock(kind), sys.executable, "-m", "tests.cache.soft_locks", tmp_path / "new" / "x.lock", kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr


def test_an_app_waits_for_us_and_then_finds_the_file(
    server: HubServer, storage: Storage, client: Callable[[], subprocess.Popen[str]]
) -> None:
    commit = server.add_repo(REPO, {"a.bin": DATA}, lfs=["a.bin"])
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True, commit=commit)
    lock = storage.lock(spec, source)
    assert lock is not None
    app = client()
    until(lambda: any(entry.method == "HEAD" and entry.done for entry in server.log))
    put(storage, spec, DATA, commit=commit)
    assert app.poll() is None
    lock.release()
    out, errors = app.communicate(timeout=DEADLINE_S)
    assert app.returncode == 0, errors
    assert Path(out.splitlines()[-1]).read_bytes() == DATA
    assert server.sent_bytes() == 0


def test_we_see_that_an_app_is_at_it_and_take_what_it_fetched(
    server: HubServer, storage: Storage, cache: Path, client: Callable[[], subprocess.Popen[str]]
) -> None:
    commit = server.add_repo(REPO, {"a.bin": DATA}, lfs=["a.bin"])
    server.fault(REPO, "a.bin", Fault.stall(after=5000, seconds=1.0))
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True, commit=commit)
    app = client()
    until(lambda: server.sent_bytes() >= 5000)
    assert storage.lock(spec, source) is None
    assert storage.adopt([(spec, source, None)]) == [None]
    _, errors = app.communicate(timeout=DEADLINE_S)
    assert app.returncode == 0, errors
    lock = storage.lock(spec, source)
    assert lock is not None
    [taken] = storage.adopt([(spec, source, None)])
    assert isinstance(taken, Placed)
    assert taken.path == cache / "models--owner--name" / "snapshots" / commit / "a.bin"
    lock.release()
    assert commit != COMMIT


def test_a_lock_is_shared_while_it_is_used_and_forgotten_afterwards() -> None:
    locks = KeyedLocks()
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with locks.get("a"):
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(10)
    assert not locks.get("a").acquire(blocking=False)
    assert locks.get("b").acquire(blocking=False)
    leave.set()
    holder.join()
    assert locks.get("a").acquire(blocking=False)
    assert len(locks) == 0


def test_thousands_of_keys_leave_nothing() -> None:
    locks = KeyedLocks()
    for number in range(5_000):
        with locks.get(str(number)):
            assert len(locks) == 1
    assert len(locks) == 0
