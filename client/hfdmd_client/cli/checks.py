"""The checks of `hfdm doctor`. Each examines one thing, and reports the result and a fix."""

from __future__ import annotations

import email.utils
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from hfdmd import __version__
from hfdmd.wire.endpoint import MAX_SOCKET_PATH_BYTES, default_socket, state_dir
from hfdmd.wire.errors import ApiError
from hfdmd.wire.types import Info, Status
from hfdmd_client import environment
from hfdmd_client.cli.session import Session, clean_lines
from hfdmd_client.errors import DaemonSilent, DaemonUnreachable, VersionMismatch
from hfdmd_client.units import format_size

State = Literal["ok", "warning", "problem"]
_HUB_TIMEOUT_S = 5.0
_CLOCK_SLACK_S = 60.0
_LITTLE_DISK_BYTES = 5 * 10**9
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


class Finding(msgspec.Struct, frozen=True):
    """The result of one check. `cure` says what to do; empty when there is nothing to do."""

    what: str
    state: State
    found: str
    cure: str = ""


def all_checks(session: Session, offline: bool) -> list[Finding]:
    """The results of all checks, most basic first."""
    findings: list[Finding] = []
    info = _daemon(session, findings)
    findings += _socket(info)
    findings += _same_environment(info)
    findings += _folders(info)
    findings += _disk(info)
    findings.append(_token())
    findings += _proxy()
    findings += _service()
    if info is not None:
        findings += _downloads(info)
    if not offline:
        findings += _hub(info.hub_endpoint if info else environment.Environment.current().hub_endpoint)
    return findings


def _daemon(session: Session, findings: list[Finding]) -> Info | None:
    try:
        info = session.quiet_client(spawn=False).hello()
    except VersionMismatch as error:
        findings.append(Finding("daemon", "problem", "has another API version", error.detail))
        return None
    except DaemonSilent as error:
        findings.append(Finding("daemon", "problem", "listens but does not answer", clean_lines(error.detail)))
        return None
    except DaemonUnreachable as error:
        found = "is not running; hfdm download starts it"
        findings.append(Finding("daemon", "warning", found, clean_lines(error.detail)))
        return None
    except ApiError as error:
        findings.append(Finding("daemon", "problem", "answers with an error", clean_lines(error.detail)))
        return None
    found = f"hfdmd {info.version}, pid {info.pid}{', still loading its tracker files' if info.loading else ''}"
    findings.append(Finding("daemon", "ok", found))
    if info.version == __version__:
        findings.append(Finding("version", "ok", f"{__version__} on both sides"))
    else:
        difference = environment.version_difference(info) or ""
        findings.append(Finding("version", "warning", difference, "hfdm restart"))
    return info


def _socket(info: Info | None) -> Iterator[Finding]:
    if os.environ.get("HFDMD_URL"):
        yield Finding("socket", "ok", f"not used: HFDMD_URL is {_without_password(os.environ['HFDMD_URL'])}")
        return
    path = Path(info.socket) if info and info.socket else default_socket()
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH_BYTES:
        cure = "Set HFDMD_SOCKET to a shorter path, for daemon and clients alike."
        yield Finding(
            "socket", "problem", f"{path}: {length} bytes, at most {MAX_SOCKET_PATH_BYTES} are possible", cure
        )
    elif not path.exists():
        yield Finding("socket", "warning" if info is None else "problem", f"{path} does not exist")
    elif path.stat().st_mode & 0o007:
        cure = f"chmod o-rwx {path}"
        yield Finding("socket", "warning", f"{path} is open to every user of this machine", cure)
    else:
        yield Finding("socket", "ok", str(path))


def _same_environment(info: Info | None) -> Iterator[Finding]:
    if info is None:
        return
    differences = environment.Environment.current().differences(info)
    for difference in differences:
        cure = "Unset the variable here, or stop the daemon (hfdm stop) and start it with the same variables."
        yield Finding("environment", "warning", difference, cure)
    if not differences:
        yield Finding("environment", "ok", f"cache {info.cache_dir}, Hub {info.hub_endpoint}, here as in the daemon")


def _folders(info: Info | None) -> Iterator[Finding]:
    cache = info.cache_dir if info else environment.Environment.current().cache_dir
    state = info.state_dir if info else str(state_dir())
    for what, folder in (("cache", Path(cache)), ("state", Path(state))):
        existing = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
        if os.access(existing, os.W_OK | os.X_OK) or _is_of_another_user(info):
            yield Finding(what, "ok", f"{folder}{'' if folder.exists() else ' (created when needed)'}")
        else:
            variable = "HF_HUB_CACHE" if what == "cache" else "HFDMD_STATE_DIR"
            cure = f"Change its owner (sudo chown -R $USER {existing}), or set {variable} to a writable folder."
            yield Finding(what, "problem", f"{folder} is not writable", cure)


def _is_of_another_user(info: Info | None) -> bool:
    """Whether another user runs the daemon, as with the system service: then only that user must be able to write."""
    if info is None or info.socket is None:
        return False
    try:
        return os.stat(info.state_dir).st_uid != os.getuid()
    except OSError:
        return True  # this user may not access the folder


def _disk(info: Info | None) -> Iterator[Finding]:
    if info is not None:
        free_bytes = info.free_bytes
    else:
        folder = Path(environment.Environment.current().cache_dir)
        existing = next(place for place in (folder, *folder.parents) if place.exists())
        free_bytes = shutil.disk_usage(existing).free
    if free_bytes is None:
        yield Finding("disk", "warning", "the daemon cannot determine the free space")
    elif free_bytes < _LITTLE_DISK_BYTES:
        cure = "Free some: hf cache ls shows large repos, hf cache rm deletes them. Waiting downloads then continue."
        yield Finding("disk", "warning", f"{format_size(free_bytes)} free", cure)
    else:
        yield Finding("disk", "ok", f"{format_size(free_bytes)} free")


def _token() -> Finding:
    path = Path(os.environ.get("HF_TOKEN_PATH") or os.path.join(environment.hf_home(), "token")).expanduser()
    if os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN"):
        cure = "" if path.exists() else "A running daemon does not have it: `hf auth login` stores it for both."
        return Finding("token", "ok", "HF_TOKEN is set in this environment", cure)
    try:
        found = bool(path.read_text().strip())
    except FileNotFoundError:
        found = False
    except OSError as error:
        return Finding("token", "warning", f"{path} cannot be read: {error.strerror}", f"chmod 600 {path}")
    if found:
        return Finding("token", "ok", f"in {path}")
    return Finding("token", "ok", "none; gated and private repos need one: hf auth login")


def _proxy() -> Iterator[Finding]:
    used = [name for name in _PROXIES if os.environ.get(name)]
    for name in used:
        value = os.environ[name]
        shown = _without_password(value)
        if urlsplit(value).scheme not in ("http", "https", "socks5", "socks5h"):
            yield Finding("proxy", "problem", f"{name}={shown} is not a URL", f"Write it like {name}=http://host:3128")
        else:
            yield Finding("proxy", "ok", f"{name}={shown}; NO_PROXY={os.environ.get('NO_PROXY', '') or 'not set'}")
    if not used:
        yield Finding("proxy", "ok", "none")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url if parts.password is None else url.replace(f":{parts.password}@", ":***@")


def _service() -> Iterator[Finding]:
    from hfdmd_client import installed, service
    from hfdmd_client.service import ServiceError

    scope = service.installed_scope()
    if scope is None:
        yield Finding("service", "ok", "not installed; hfdm starts a daemon when needed (hfdm service install)")
        return
    try:
        failed = installed.failed_units(scope)
    except ServiceError as error:
        yield Finding("service", "warning", f"installed ({scope.value}); its state is unknown", str(error))
        return
    if failed:
        cure = f"hfdm service logs says why. After fixing the cause:\n{installed.restart_command(scope)}"
        yield Finding("service", "problem", f"{' and '.join(failed)} failed", cure)
    else:
        yield Finding("service", "ok", f"installed ({scope.value})")


def _downloads(info: Info) -> Iterator[Finding]:
    failed = info.counts.get(Status.FAILED, 0)
    if failed:
        cure = "hfdm status --status failed says why; hfdm retry --all retries them."
        yield Finding("downloads", "warning", f"{failed} failed", cure)
    else:
        yield Finding("downloads", "ok", "none failed")


def _hub(endpoint: str) -> Iterator[Finding]:
    """Whether the Hub answers, and whether the clock is right, which certificates and signed URLs require."""
    host = _without_password(endpoint)
    request = urllib.request.Request(f"{endpoint}/api/models?limit=1", headers={"User-Agent": f"hfdm/{__version__}"})  # noqa: S310
    try:
        began = time.monotonic()
        with urllib.request.urlopen(request, timeout=_HUB_TIMEOUT_S) as answer:  # noqa: S310 - the configured Hub
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        date = error.headers.get("Date")
        error.close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        cure = "Check the network, HF_ENDPOINT, HTTPS_PROXY and SSL_CERT_FILE. Downloads wait and then continue."
        yield Finding("Hub", "problem", f"{host} does not answer: {clean_lines(str(reason))}", cure)
        return
    yield Finding("Hub", "ok", f"{host} answered in {(time.monotonic() - began) * 1000:.0f} ms")
    if date is None:
        return
    try:
        skew_s = time.time() - email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return
    if abs(skew_s) > _CLOCK_SLACK_S:
        way = "ahead of" if skew_s > 0 else "behind"
        cure = "Set it (timedatectl set-ntp true): signed URLs and certificates depend on it."
        yield Finding("clock", "problem", f"{abs(skew_s):.0f} s {way} the Hub's", cure)
    else:
        yield Finding("clock", "ok", "agrees with the Hub's")
