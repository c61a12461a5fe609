"""The contenders: hfdmd and each peer, behind one small interface."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hfdmd.wire.types import Download, RepoDownload
from hfdmd_client import Client
from tests.benchmarks.content import sha256_of
from tests.benchmarks.process import BIN, ProgramFailed, clean_env, run
from tests.daemon_process import Daemon
from tests.fakehub.official import environment
from tests.fakehub.official_xet import download_command


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one contender. For hfdmd `cpu_s` is of client and daemon, `rss_bytes` of the daemon."""

    wall_s: float
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Task:
    """What to download: a file of a repo, or with `path` None all of it. `urls` is for programs that know no repos."""

    endpoint: str
    repo: str
    path: str | None
    size_bytes: int
    urls: Sequence[tuple[str, str]]
    """URL and the name to save it under."""
    sha256: str | None = None
    bundle: Path | None = None
    """Certificates to trust, when the servers speak TLS."""
    inside: Sequence[str] = ()
    """Command prefix that enters the client's network namespace."""
    timeout_s: float = 120


class Contender(Protocol):
    """`go` is timed; `clean` deletes its result."""

    name: str
    rounds: int | None

    def go(self, task: Task, folder: Path) -> Sample: ...

    def clean(self, folder: Path) -> None: ...


def check_file(path: Path, task: Task) -> None:
    """Raises AssertionError if the result is not the requested file."""
    size_bytes = path.stat().st_size
    if size_bytes != task.size_bytes:
        raise AssertionError(f"{path} has {size_bytes} bytes, not {task.size_bytes}")


@dataclass(slots=True)
class Hfdm:
    """`hfdm download`, from start to exit, the daemon running. `through_api`: from POST to `done` instead."""

    daemon: Daemon
    name: str = "hfdm download"
    through_api: bool = False
    rounds: int | None = None
    keep_files: bool = False
    during: Callable[[], None] | None = None
    _last: str = field(default="", init=False)

    def go(self, task: Task, folder: Path) -> Sample:
        daemon = self.daemon
        daemon.stats.reset_peak()
        before_s = daemon.stats.cpu_s()
        if self.through_api:
            client = Client(socket=daemon.socket)
            client.hello()
            began = time.perf_counter()
            item: Download | RepoDownload = (
                client.download(task.repo) if task.path is None else client.download(task.repo, task.path)
            )
            wall_s, cpu_s, path = time.perf_counter() - began, 0.0, str(item.path)
        else:
            command = [*task.inside, str(BIN / "hfdm"), "download", task.repo, *([task.path] if task.path else [])]
            try:
                spent = run(command, env=daemon.env, timeout_s=task.timeout_s)
            except ProgramFailed as failed:
                raise ProgramFailed(f"{failed}\nThe daemon says:\n{daemon.log[-2000:]}") from failed
            wall_s, cpu_s, path = spent.wall_s, spent.cpu_s, spent.stdout.strip()
        sample = Sample(wall_s, cpu_s + daemon.stats.cpu_s() - before_s, daemon.stats.peak_rss_bytes())
        self._check(task, Path(path))
        self._last = task.repo
        return sample

    def _check(self, task: Task, path: Path) -> None:
        if task.path is None:
            found = sum(1 for file in path.rglob("*") if file.is_file())
            if found != len(task.urls):
                raise AssertionError(f"{path} has {found} files, not {len(task.urls)}")
            return
        check_file(path, task)
        if task.sha256 is not None and sha256_of(path) != task.sha256:
            raise AssertionError(f"{path} is not what was asked for")

    def clean(self, folder: Path) -> None:
        Client(socket=self.daemon.socket).delete(model_repo=self._last, delete_file=not self.keep_files)


@dataclass(slots=True)
class HfDownload:
    """`hf download` over HTTP, default settings, a fresh HF_HOME each time."""

    name: str = "hf download"
    rounds: int | None = None
    keep_files: bool = False

    def go(self, task: Task, folder: Path) -> Sample:
        env = clean_env(
            HOME=str(folder),
            HF_HOME=str(folder / "hf"),
            HF_ENDPOINT=task.endpoint,
            HF_HUB_DISABLE_XET="1",
            HF_HUB_DISABLE_TELEMETRY="1",
            HF_HUB_DISABLE_UPDATE_CHECK="1",
            **({"SSL_CERT_FILE": str(task.bundle)} if task.bundle else {}),
        )
        command = [*task.inside, str(BIN / "hf"), "download", task.repo, *([task.path] if task.path else [])]
        spent = run(command, env=env, timeout_s=task.timeout_s)
        snapshots = folder / "hf/hub" / f"models--{task.repo.replace('/', '--')}" / "snapshots"
        if task.path is not None:
            check_file(next(snapshots.glob(f"*/{task.path}")), task)
        elif sum(1 for file in snapshots.rglob("*") if file.is_file()) != len(task.urls):
            raise AssertionError("hf download left files out")
        return Sample(spent.wall_s, spent.cpu_s, spent.rss_bytes)

    def clean(self, folder: Path) -> None:
        if not self.keep_files:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class HfXet:
    """hf_xet's download group by itself: it verifies nothing and syncs nothing. `xet_hash` is the file's."""

    xet_hash: str
    name: str = "hf_xet group"
    rounds: int | None = None

    def go(self, task: Task, folder: Path) -> Sample:
        to = folder / "file"
        command = download_command(task.endpoint, task.repo, [(self.xet_hash, task.size_bytes, to)])
        spent = run(command, env=environment(task.endpoint, folder), timeout_s=task.timeout_s)
        check_file(to, task)
        return Sample(spent.wall_s, spent.cpu_s, spent.rss_bytes)

    def clean(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class Aria2:
    """aria2c with 16 connections a file, or with a ready list and `jobs` files at a time."""

    name: str = "aria2c -x16"
    checksum: bool = False
    jobs: int = 0
    rounds: int | None = None
    keep_files: bool = False

    def go(self, task: Task, folder: Path) -> Sample:
        command = [*task.inside, "aria2c", "--no-conf", "-q", "--allow-overwrite=true", "-d", str(folder)]
        if task.bundle:
            command.append(f"--ca-certificate={task.bundle}")
        if self.jobs:
            listed = folder / "urls.txt"
            listed.write_text("".join(f"{url}\n out={name}\n" for url, name in task.urls))
            command += [f"-j{self.jobs}", "-x1", "-s1", "--file-allocation=none", "-i", str(listed)]
        else:
            url, name = task.urls[0]
            command += ["-x16", "-s16", "-k1M", "--file-allocation=falloc", "-o", name]
            command += [f"--checksum=sha-256={task.sha256}"] if self.checksum else []
            command.append(url)
        spent = run(command, env=clean_env(HOME=str(folder)), timeout_s=task.timeout_s)
        if self.jobs:
            if sum(1 for _, name in task.urls if (folder / name).is_file()) != len(task.urls):
                raise AssertionError("aria2c left files out")
        else:
            check_file(folder / task.urls[0][1], task)
        return Sample(spent.wall_s, spent.cpu_s, spent.rss_bytes)

    def clean(self, folder: Path) -> None:
        if not self.keep_files:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class Curl:
    """One plain stream: neither verified nor synced."""

    name: str = "curl"
    rounds: int | None = None

    def go(self, task: Task, folder: Path) -> Sample:
        url, name = task.urls[0]
        command = [*task.inside, "curl", "-sSfL", "-o", str(folder / name)]
        command += ["--cacert", str(task.bundle)] if task.bundle else []
        spent = run([*command, url], env=clean_env(HOME=str(folder)), timeout_s=task.timeout_s)
        check_file(folder / name, task)
        return Sample(spent.wall_s, spent.cpu_s, spent.rss_bytes)

    def clean(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)


def versions() -> str:
    """The peers' versions, for the report."""
    from tests.benchmarks.machine import first_line
    from tests.benchmarks.nginx import PROGRAM

    hf = first_line([sys.executable, "-c", "import huggingface_hub; print(huggingface_hub.__version__)"])
    hf_xet = first_line([sys.executable, "-c", "from importlib import metadata; print(metadata.version('hf_xet'))"])
    nginx = first_line([PROGRAM, "-v"]).rpartition("/")[2]
    curl = first_line(["curl", "--version"]).split()[1]
    return f"{first_line(['aria2c', '--version'])}, huggingface_hub {hf}, hf_xet {hf_xet}, curl {curl}, nginx {nginx}"
