"""The house keeps its floors: a module imports from lower floors only, never sideways or up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = {
    "wire": 0,
    "migrations": 0,
    "record": 1,
    "failure": 1,
    "aio": 1,
    "durable": 1,
    "notify": 1,
    "descriptors": 1,
    "activation": 1,
    "journal": 1,
    "lifecycle": 2,
    "config": 2,
    "names": 2,
    "digest": 2,
    "bandwidth": 3,
    "versions": 2,
    "statuslog": 2,
    "instance": 2,
    "logs": 2,
    "net": 2,
    "store": 3,
    "events": 3,
    "hub": 3,
    "cache": 3,
    "transfer": 3,
    "scheduler": 4,
    "api": 5,
    "listeners": 6,
    "watch": 6,
    "service": 7,
}
"""Each room of `hfdmd/` and its floor. `hfdmd/__init__.py` (the version) is open to all."""


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "hfdmd" and len(parts) > 1 and parts[1] in FLOORS else None


MODULES = sorted((ROOT / "hfdmd").rglob("*.py"))


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_down(file: Path) -> None:
    parts = file.relative_to(ROOT / "hfdmd").with_suffix("").parts
    if parts == ("__init__",):
        return
    room = parts[0]
    assert room in FLOORS, f"{file.name} is a room without a floor"
    for module in imports(file):
        other = room_of(module)
        if other is not None and other != room:
            assert FLOORS[other] < FLOORS[room], f"{room} (floor {FLOORS[room]}) imports {module} ({FLOORS[other]})"


def test_the_daemon_does_not_import_the_official_client() -> None:
    users = [file.name for file in MODULES if "huggingface_hub" in {name.split(".")[0] for name in imports(file)}]
    assert users == []


def test_wire_needs_nothing_but_msgspec() -> None:
    import sys

    for file in (ROOT / "hfdmd" / "wire").glob("*.py"):
        for module in imports(file):
            top = module.split(".")[0]
            assert top in {*sys.stdlib_module_names, "msgspec", "hfdmd"}, f"{file.name} imports {module}"


def test_the_client_imports_nothing_of_the_daemon_but_wire() -> None:
    for file in (ROOT / "client" / "hfdmd_client").rglob("*.py"):
        for module in imports(file):
            if module.split(".")[0] == "hfdmd" and module != "hfdmd":
                known = module.startswith("hfdmd.wire") or module in ("hfdmd.__version__", "hfdmd.wire")
                assert known, f"{file.name} imports {module}"


@pytest.mark.parametrize("file", [file for file in MODULES if file.name != "__init__.py"], ids=lambda file: file.name)
def test_no_file_has_grown_into_two_rooms(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400
