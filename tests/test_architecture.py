"""The house keeps its floors: a module imports from lower floors only, never sideways, up or in a circle."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
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
    "descriptors": 1,
    "setting_kinds": 1,
    "service_manager": 1,
    "lifecycle": 2,
    "config": 2,
    "names": 2,
    "digest": 2,
    "versions": 2,
    "statuslog": 2,
    "instance": 2,
    "logs": 2,
    "net": 2,
    "tracker_writer": 2,
    "store": 3,
    "events": 3,
    "hub": 3,
    "cache": 3,
    "transfer": 3,
    "scheduler": 4,
    "checks": 4,
    "api": 5,
    "listeners": 6,
    "service": 7,
}
"""Each room of `hfdmd/` and its floor. `hfdmd/__init__.py` (the version) is open to all."""

MODULES = sorted((ROOT / "hfdmd").rglob("*.py"))
SCHEDULER = [file for file in MODULES if file.parent.name == "scheduler" and file.stem != "__init__"]
WRITERS = {"ledger.py", "lifecycle.py", "record.py", "store.py"}
"""The only modules that may assign to fields of records; `store.py` to those that it has just read."""


def imports(file: Path) -> Iterator[str]:
    """Every imported module and name, also below `if TYPE_CHECKING` and inside functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "hfdmd" and len(parts) > 1 and parts[1] in FLOORS else None


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", MODULES, ids=named)
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


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = {module_of(file) for file in MODULES}
    graph = {module_of(file): {name for name in imports(file) if name in known} for file in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join((*path[path.index(module) :], module))}"
        if module not in done:
            for other in sorted(graph[module] - {module}):
                visit(other, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_every_module_and_class_has_a_name_of_its_own() -> None:
    modules = Counter(file.stem for file in MODULES if file.stem != "__init__")
    assert [name for name, count in modules.items() if count > 1] == []
    classes = Counter(name for file in MODULES for name in re.findall(r"^class (\w+)", file.read_text(), re.MULTILINE))
    assert [name for name, count in classes.items() if count > 1] == []


@pytest.mark.parametrize("file", SCHEDULER, ids=lambda file: file.name)
def test_no_part_of_the_scheduler_is_handed_the_scheduler(file: Path) -> None:
    if file.stem != "core":
        assert "hfdmd.scheduler.core" not in set(imports(file))
        assert not re.search(r"\bself\._?scheduler\b|: Scheduler\b", file.read_text())


@pytest.mark.parametrize("file", SCHEDULER, ids=lambda file: file.name)
def test_every_module_of_the_scheduler_has_its_tests(file: Path) -> None:
    assert (ROOT / "tests" / "scheduler" / f"test_{file.name}").exists()


@pytest.mark.parametrize("file", [file for file in MODULES if file.name not in WRITERS], ids=named)
def test_only_the_ledger_changes_records(file: Path) -> None:
    if not {"hfdmd.record.FileRecord", "hfdmd.record.RepoRecord", "hfdmd.record.Record"} & set(imports(file)):
        return  # what it calls `record` or `repo` is something else
    writes = re.findall(r"\b(?:record|repo|child|other|file)\.[a-z_]+ [|+-]?= .*", file.read_text())
    assert writes == []


def test_the_daemon_does_not_import_the_official_client() -> None:
    users = [file.name for file in MODULES if "huggingface_hub" in {name.split(".")[0] for name in imports(file)}]
    assert users == []


def test_wire_needs_nothing_but_msgspec() -> None:
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


@pytest.mark.parametrize("file", MODULES, ids=named)
def test_no_file_has_grown_into_two_rooms(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400
