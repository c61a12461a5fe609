"""The unit files as they travel in the package, and how they are filled in."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from hfdmd_client.service.errors import ServiceError

_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")
_NOT_IN_PROGRAMS = "\"'\\"
_DOCTYPE_END = b'.dtd">\n'


def read(name: str) -> str:
    """The template called, say, `systemd/user/hfdmd.socket`: from the installed package, else from the source tree."""
    package = resources.files("hfdmd")
    installed = package.joinpath("_units", name)
    if installed.is_file():
        return installed.read_text()
    source = Path(str(package)).parent / name
    if source.is_file():
        return source.read_text()
    raise ServiceError(f"this installation of hfdmd is incomplete: it has no {name}; install it again")


def unit(name: str, values: Mapping[str, str], mark: str) -> str:
    """A systemd file with the paths in `values` filled in, quoted for systemd, and the mark of who wrote it."""

    def fill(match: re.Match[str]) -> str:
        value = values[match[1]]
        if unwanted := {*value} & {*_NOT_IN_PROGRAMS}:
            raise ServiceError(f"systemd starts no program with {' or '.join(sorted(unwanted))} in its path: {value}")
        return quote(value)

    return f"# {mark}\n" + _PLACEHOLDER.sub(fill, read(name))


def plist(name: str, values: Mapping[str, str | int], environment: Mapping[str, str], mark: str) -> str:
    """A launchd file with `values` filled in and `environment` added. A value that is an int becomes an integer."""
    content: dict[str, Any] = plistlib.loads(read(name).encode())
    filled = _fill(content, values)
    filled["EnvironmentVariables"] = {**environment, **filled["EnvironmentVariables"]}
    text = plistlib.dumps(filled, sort_keys=False)
    return text.replace(_DOCTYPE_END, _DOCTYPE_END + f"<!-- {mark} -->\n".encode(), 1).decode()


def quote(text: str) -> str:
    """`text` as one word of a systemd setting: quoted where it must be, with no specifier in it (systemd.syntax(7))."""
    if any(not c.isprintable() for c in text):
        raise ServiceError(f"{text!r} has a control character in it, which no unit file can hold")
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
