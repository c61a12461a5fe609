"""Whether this machine can download, judged by the daemon's own rules, with a cure for each fault.

For `hfdm doctor`: a running daemon answers `GET /api/checks`; when none runs, `hfdmd --check` does the same. Nothing is
changed.
"""

from __future__ import annotations

import asyncio
import email.utils
import os
import pwd
import shlex
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from hfdmd.aio import in_thread
from hfdmd.cache.volumes import FILE, Volumes
from hfdmd.config import Paths, Values
from hfdmd.durable import existing_ancestor, mount_point
from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.net.proxy import proxy_for
from hfdmd.net.trust import ssl_context
from hfdmd.record import FileRecord, Record
from hfdmd.wire.environment import hub_token, token_file
from hfdmd.wire.types import Check, CheckState, Reason, Status
from hfdmd.wire.units import format_duration, format_size

_HUB_TIMEOUT_S = 10.0
_CLOCK_SLACK_S = 60.0
_LITTLE_DISK_BYTES = 5 * 10**9
_STATE_NEEDS_BYTES = 1 << 20
_FOLDERS_NAMED = 3
_PROXIES = ("https_proxy", "http_proxy", "all_proxy")


async def checks(paths: Paths, values: Values, hub: Hub | None, records: Iterable[Record] | None) -> list[Check]:
    """All checks, most basic first. `hub` None: the Hub is not asked. `records` None: no daemon runs."""
    found = await in_thread(lambda: list(_local(paths, values)))
    if records is not None:
        found += _downloads(records)
    if hub is not None:
        found += await _hub(hub)
    return found


def _local(paths: Paths, values: Values) -> Iterator[Check]:
    yield _folder("cache", paths.cache_dir, "HF_HUB_CACHE")
    yield _folder("state", paths.state_dir, "HFDMD_STATE_DIR")
    yield from _drives(paths)
    yield _trackers(paths.state_dir)
    yield from _disks(paths, values.min_free_bytes)
    yield _token()
    yield _proxy(paths.hub_endpoint)
    yield _certificates()


def _folder(what: str, folder: Path, variable: str) -> Check:
    existing = existing_ancestor(folder)
    elsewhere = f"or set {variable} to another folder"
    if not existing.is_dir():
        return _problem(what, f"{existing} is not a folder", f"Move it away, {elsewhere}.")
    if _is_read_only(existing):
        found = f"{folder} is on a read-only file system, mounted at {mount_point(existing)}"
        return _problem(what, found, f"{_remount(existing)}, {elsewhere}.")
    if not os.access(existing, os.W_OK | os.X_OK):
        cure = f"Change its owner ({_chown(existing)}), {elsewhere}."
        return _problem(what, f"{folder} is not writable: {existing} belongs to {_owner(existing)}", cure)
    return _ok(what, f"{folder}{'' if folder.exists() else ' (created when needed)'}")


def _drives(paths: Paths) -> Iterator[Check]:
    """Drives that are not mounted: of the cache, and of folders that downloads went to."""
    volumes = Volumes(paths.state_dir / FILE)
    for folder in dict.fromkeys([str(paths.cache_dir), str(paths.state_dir), *volumes.folders]):
        if (why := volumes.missing(folder)) is not None:
            cure = "Mount the drive, and what waits for it goes on by itself; or name another folder."
            yield _problem("drive", f"{folder}: {why}", cure)


def _trackers(state_dir: Path) -> Check:
    """Each repo has a folder of trackers; one that cannot be written fails the downloads of its repo only."""
    root = state_dir / "trackers"
    needed = os.R_OK | os.W_OK | os.X_OK
    try:
        wrong = sorted(one.path for one in os.scandir(root) if not one.is_dir() or not os.access(one, needed))
    except FileNotFoundError:
        return _ok("trackers", "none yet")
    except OSError as error:
        return _problem("trackers", f"{root} cannot be read: {error.strerror}", _chown(root))
    if not wrong:
        return _ok("trackers", f"in {root}")
    first = Path(wrong[0])
    more = len(wrong) - _FOLDERS_NAMED
    named = ", ".join(wrong[:_FOLDERS_NAMED]) + (f" and {more} more" if more > 0 else "")
    if not first.is_dir():
        return _problem("trackers", f"not a folder: {named}", "Move it away; a folder is created in its place.")
    if _is_read_only(first):
        return _problem("trackers", f"on a read-only file system: {named}", f"{_remount(first)}.")
    found = f"not writable: {named} (belongs to {_owner(first)})"
    return _problem("trackers", found, f"Give it to this user: {_chown(*wrong[:_FOLDERS_NAMED])}")


def _disks(paths: Paths, min_free_bytes: int) -> Iterator[Check]:
    cache, state = existing_ancestor(paths.cache_dir), existing_ancestor(paths.state_dir)
    room = "Free some space (hfdm rm REPO --delete-file deletes what hfdmd fetched), or lower min_free_bytes."
    yield _disk("disk", cache, min_free_bytes, f"{format_size(min_free_bytes)} are to stay free", room)
    if os.stat(state).st_dev != os.stat(cache).st_dev:
        room = "Free some space there, or set HFDMD_STATE_DIR to a folder on another disk."
        yield _disk("state disk", state, _STATE_NEEDS_BYTES, "tracker files need more", room)


def _disk(what: str, folder: Path, needed_bytes: int, why: str, cure: str) -> Check:
    disk = os.statvfs(folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    mount = mount_point(folder)
    free = f"{format_size(free_bytes)} free on {mount}"
    if disk.f_files and not disk.f_favail:
        found = f"no inodes free on {mount}: no file can be created, though {format_size(free_bytes)} are free"
        return _problem(what, found, f"Delete files on it, small ones too: df -i {_quoted(mount)} counts them.")
    if free_bytes <= needed_bytes:
        return _problem(what, f"{free}, but {why}: downloads wait", cure)
    if what == "disk" and free_bytes < _LITTLE_DISK_BYTES:
        return Check(what=what, state=CheckState.WARNING, found=free, cure=cure)
    return _ok(what, free)


def _token() -> Check:
    file = token_file()
    try:
        token = hub_token()
    except OSError as error:
        return _problem("token", f"{file} cannot be read: {error.strerror}", f"chmod 600 {_quoted(file or '')}")
    if token is None:
        return _ok("token", "the daemon has none; gated and private repos need one: hfdm login")
    is_set = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    return _ok("token", f"the daemon's is {'HF_TOKEN of its environment' if is_set else f'in {file}'}")


def _proxy(endpoint: str) -> Check:
    used = [f"{name}={_without_password(value)}" for name in _PROXIES for name, value in _set(name)]
    used += [f"{name}={value}" for name, value in _set("no_proxy")]
    listed = ", ".join(used)
    try:
        chosen = proxy_for(endpoint)
        proxy_for("https://cdn.example")  # content comes from other hosts
    except Failure as failure:
        return _problem("proxy", f"{listed}: {failure.detail}", "Write it like HTTPS_PROXY=http://host:3128.")
    if not used:
        return _ok("proxy", "none")
    return _ok("proxy", listed if chosen is not None else f"not used for {endpoint}: {listed}")


def _set(name: str) -> list[tuple[str, str]]:
    """The variable that counts: in lower case, else in upper case."""
    return [(key, value) for key in (name, name.upper()) if (value := os.environ.get(key, "").strip())][:1]


def _certificates() -> Check:
    try:
        ssl_context()
    except Failure as failure:
        names = " or ".join(f"{n}={os.environ[n]}" for n in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(n))
        return _problem("certificates", f"{names or 'the system'}: {failure.detail}", "Unset it.")
    return _ok("certificates", os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or "the system's")


def _downloads(records: Iterable[Record]) -> Iterator[Check]:
    """Requests that failed or wait: a file asked for singly, or a repo."""
    asked = [record for record in records if not isinstance(record, FileRecord) or record.asked_singly]
    failed = [record for record in asked if record.state is Status.FAILED]
    full = [one for one in asked if one.state is Status.QUEUED and one.reason is Reason.DISK_FULL]
    if failed:
        cure = "hfdm status --status failed says why; hfdm retry --all retries them."
        yield _warning("downloads", f"{len(failed)} failed", cure)
    if full:
        detail = f": {full[0].detail}" if full[0].detail else ""
        found = f"{len(full)} {'waits' if len(full) == 1 else 'wait'} for disk space{detail}"
        yield _warning("downloads", found, "Free some space; they go on by themselves.")
    if not failed and not full:
        yield _ok("downloads", "none failed")


async def _hub(hub: Hub) -> list[Check]:
    """Whether the Hub answers, and whether the clock is right, which certificates and signed URLs require."""
    began = time.monotonic()
    host = _without_password(hub.endpoint)
    cure = "Check the network, HF_ENDPOINT and the proxy. Downloads wait and go on by themselves."
    try:
        async with asyncio.timeout(_HUB_TIMEOUT_S):
            date = await hub.probe()
    except Failure as failure:
        return [_problem("Hub", f"{host} does not answer: {failure.detail}", cure)]
    except TimeoutError:
        return [_problem("Hub", f"{host} does not answer within {_HUB_TIMEOUT_S:.0f} s", cure)]
    found = [_ok("Hub", f"{host} answered in {(time.monotonic() - began) * 1000:.0f} ms")]
    try:
        skew_s = time.time() - email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return found
    if abs(skew_s) > _CLOCK_SLACK_S:
        way = "ahead of" if skew_s > 0 else "behind"
        cure = "Set it (sudo timedatectl set-ntp true): signed URLs and certificates depend on it."
        return [*found, _problem("clock", f"{format_duration(abs(skew_s))} {way} the Hub's", cure)]
    return [*found, _ok("clock", "agrees with the Hub's")]


def _ok(what: str, found: str) -> Check:
    return Check(what=what, state=CheckState.OK, found=found)


def _warning(what: str, found: str, cure: str) -> Check:
    return Check(what=what, state=CheckState.WARNING, found=found, cure=cure)


def _problem(what: str, found: str, cure: str) -> Check:
    return Check(what=what, state=CheckState.PROBLEM, found=found, cure=cure)


def _is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _remount(folder: Path) -> str:
    return f"Mount it writable (sudo mount -o remount,rw {_quoted(mount_point(folder))})"


def _owner(path: Path) -> str:
    return _user(os.lstat(path).st_uid)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in a container with an arbitrary uid
        return str(uid)


def _chown(*paths: str | Path) -> str:
    return f"sudo chown -R {_user(os.getuid())} {' '.join(map(_quoted, paths))}"


def _quoted(path: str | Path) -> str:
    return shlex.quote(str(path))


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url if parts.password is None else url.replace(f":{parts.password}@", ":***@")
