"""The files of a service: filled in from the templates of the package, written and removed by the installer.

Every file carries a mark; the installer changes and removes only files that have it.
"""

from __future__ import annotations

import os
import plistlib
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from hfdmd_client.environment import absolute_paths
from hfdmd_client.service.command import ServiceError

MARK = "Written by 'hfdm service install', and removed by 'hfdm service uninstall'. Put changes into a drop-in."

_SHARED_FOLDERS = ("etc", ".config", "Library")
"""Never removed, even when empty: other programs use them."""
_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")
_FORBIDDEN_IN_PROGRAMS = "\"'\\"
_DOCTYPE_END = b'.dtd">\n'
COPIED_VARIABLES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_ENDPOINT",
    "HF_TOKEN_PATH",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HF_HUB_DISABLE_SHARED_BLOBS",
    "HF_HUB_DISABLE_SYMLINKS",
    "HF_HUB_DISABLE_XET",
    "HFDMD_CONFIG",
    "HFDMD_STATE_DIR",
    "XDG_CACHE_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)


def write(files: Mapping[Path, str], *, mode: int = 0o644) -> list[Path]:
    """Writes the files that do not have their text yet; returns those that were changed.

    Raises `ServiceError`, and changes nothing, when the installer did not write one of the present files.
    """
    foreign = [path for path in files if path.exists() and not is_ours(path)]
    if foreign:
        names = ", ".join(map(str, foreign))
        raise ServiceError(f"{names}: not written by 'hfdm service install', so it stays as it is; move it away first")
    changed = [path for path, text in files.items() if not (path.is_file() and path.read_text() == text)]
    for path in changed:
        _replace(path, files[path], mode)
    return changed


def remove(paths: Iterable[Path]) -> list[Path]:
    """Deletes the files that the installer wrote, and folders that are then empty; returns the deleted files."""
    removed = [path for path in paths if path.is_file() and is_ours(path)]
    for path in removed:
        path.unlink()
        for folder in path.parents:
            if folder.name in _SHARED_FOLDERS or any(folder.iterdir()):
                break
            folder.rmdir()
    return removed


def is_ours(path: Path) -> bool:
    """Whether the installer wrote this file."""
    try:
        return MARK in path.read_text(errors="replace")[:4096]
    except OSError:
        return False


def _replace(path: Path, text: str, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ServiceError(f"{path} cannot be written: {error.strerror}") from error
    try:
        with open(fd, "w") as file:
            os.fchmod(fd, mode)
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read(name: str) -> str:
    """A template such as `systemd/user/hfdmd.socket`, from the installed package, else from the source tree."""
    package = resources.files("hfdmd")
    installed = package.joinpath("_units", name)
    if installed.is_file():
        return installed.read_text()
    source = Path(str(package)).parent / name
    if source.is_file():
        return source.read_text()
    raise ServiceError(f"this installation of hfdmd is incomplete ({name} is missing); install it again")


def unit(name: str, values: Mapping[str, str], mark: str) -> str:
    """A systemd file with the paths of `values`, quoted for systemd, and a first comment line with `mark`."""

    def fill(match: re.Match[str]) -> str:
        value = values[match[1]]
        if unwanted := {*value} & {*_FORBIDDEN_IN_PROGRAMS}:
            raise ServiceError(f"systemd starts no program with {' or '.join(sorted(unwanted))} in its path: {value}")
        return quote(value)

    return f"# {mark}\n" + _PLACEHOLDER.sub(fill, read(name))


def plist(name: str, values: Mapping[str, str | int], environment: Mapping[str, str], mark: str) -> str:
    """A launchd file with `values` and `environment`, and a comment with `mark`. An int becomes an `<integer>`."""
    content: dict[str, Any] = plistlib.loads(read(name).encode())
    filled = _fill(content, values)
    filled["EnvironmentVariables"] = {**environment, **filled["EnvironmentVariables"]}
    text = plistlib.dumps(filled, sort_keys=False)
    return text.replace(_DOCTYPE_END, _DOCTYPE_END + f"<!-- {mark} -->\n".encode(), 1).decode()


def quote(text: str) -> str:
    """`text` as one word of a systemd setting: quoted where needed, specifiers escaped (systemd.syntax(7))."""
    if any(not c.isprintable() for c in text):
        raise ServiceError(f"{text!r} has a control character, which a unit file cannot contain")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped if re.fullmatch(r"[\w@%+=:,./-]+", escaped, re.ASCII) else f'"{escaped}"'


def _fill(node: Any, values: Mapping[str, str | int]) -> Any:
    if isinstance(node, dict):
        return {key: _fill(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, values) for value in node]
    if isinstance(node, str) and (match := _PLACEHOLDER.fullmatch(node)):
        return values[match[1]]
    return node


def copied_variables(
    env: Mapping[str, str] = os.environ, say: Callable[[str], None] = lambda _: None
) -> dict[str, str]:
    """The variables that the service gets, paths made absolute. Calls `say` with what is left out, and why.

    A service manager reads no shell profile; without these variables the daemon would fill another cache than the
    user's programs read. Secrets are not copied: the Hub's token has a file of its own.
    """
    kept = {}
    absolute = absolute_paths(env)
    for name in COPIED_VARIABLES:
        value = absolute.get(name)
        if not value:
            continue
        if name.upper().endswith("_PROXY") and "@" in value:
            say(
                f"{name} carries a password, so it is not copied into the service; docs/service.md says where to put it"
            )
        elif name == "HF_ENDPOINT" and "@" in value:
            say("HF_ENDPOINT carries a password, so it is not copied into the service, which refuses such URLs")
        else:
            kept[name] = value
    if env.get("HF_TOKEN"):
        say("HF_TOKEN is not copied into the service; 'hfdm login' stores the token for it")
    return kept


def drop_in(variables: Mapping[str, str], mark: str) -> str | None:
    """A systemd drop-in with these variables; None when there are none."""
    if not variables:
        return None
    lines = [f"# {mark}", "[Service]", *(f"Environment={quote(f'{n}={v}')}" for n, v in variables.items())]
    return "\n".join(lines) + "\n"
