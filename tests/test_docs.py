"""docs/api.md has every name of the API, and the code cites pages of this repository only."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from hfdmd import service
from hfdmd.config import ReloadableValues, Values
from hfdmd.wire import errors, types
from hfdmd.wire.routes import ROUTES, Route
from hfdmd.wire.types import EndReason, EventName, Phase, Reason, Settings, Status
from hfdmd_client.cli import session

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text()
SECTIONS = dict(enumerate(re.split(r"^## [0-9]+\. .*$", PAGE, flags=re.MULTILINE)))
"""Text of each section by its number; 0 is what stands before the first."""


def rows(section: int, first: str) -> list[list[str]]:
    """Rows of the table in that section whose first column has that heading."""
    lines = SECTIONS[section].partition(f"| {first} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def table(section: int, first: str) -> list[list[str]]:
    """The same without backticks."""
    return [[cell.replace("`", "") for cell in row] for row in rows(section, first)]


def missing(names: Iterable[str], section: int) -> list[str]:
    return [name for name in names if f"`{name}`" not in SECTIONS[section]]


def test_the_sections_are_numbered_as_the_code_cites_them() -> None:
    assert re.findall(r"^## ([0-9]+)\.", PAGE, flags=re.MULTILINE) == [str(number) for number in range(1, 9)]


def test_statuses_phases_and_reasons() -> None:
    assert [row[0] for row in table(2, "status")] == list(Status)
    assert {row[0]: row[1] for row in table(2, "reason")} == {reason: reason.status for reason in Reason}
    assert missing(Phase, 2) == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_and_its_parameters(route: Route) -> None:
    assert f"`{route.method} {route.path}`" in SECTIONS[4]
    assert [param.name for param in route.query if not re.search(rf"\b{param.name}\b", SECTIONS[4] + SECTIONS[5])] == []


@pytest.mark.parametrize("kind", [types.Download, types.RepoDownload, types.Info], ids=lambda kind: kind.__name__)
def test_every_field_of_an_answer(kind: type) -> None:
    assert missing([field.encode_name for field in msgspec.structs.fields(kind)], 4) == []


def test_every_error_with_its_status() -> None:
    documented = {
        (int(status), code) for status, codes in rows(4, "HTTP status") for code in re.findall(r"`([a-z_]+)`", codes)
    }
    assert documented == {(status, code) for code in errors.CODES for status in errors.statuses(code)}


def test_events_and_reasons_of_their_end() -> None:
    assert [row[0] for row in table(5, "event")] == list(EventName)
    ends = {reason.strip(): row[-1] for row in table(5, "reason of `end`") for reason in row[0].split(",")}
    assert set(ends) == set(EndReason)
    assert {reason for reason, then in ends.items() if then == "reconnects"} == types.RECONNECT_REASONS


def test_settings_and_what_changes_them() -> None:
    def names(kind: type) -> set[str]:
        return {field.name for field in msgspec.structs.fields(kind)}

    documented = {row[0]: row for row in table(7, "setting")}
    assert set(documented) == names(Values)
    for name, row in documented.items():
        patchable, reloadable = name in names(Settings), name in names(ReloadableValues)
        assert row[-1] == ("PATCH, SIGHUP" if patchable else "SIGHUP" if reloadable else "restart"), name


def test_exit_codes() -> None:
    daemon = {0, service.EXIT_FAULT, service.EXIT_USAGE, service.EXIT_ALREADY_RUNNING, service.EXIT_CONFIG}
    assert {int(row[0]) for row in table(7, "exit code of `hfdmd`")} == daemon
    client = {getattr(session, name) for name in ("DONE", "FAILED", "USAGE", "NO_DAEMON", "NOT_FOUND", "NO_ACCESS")}
    assert {int(row[0]) for row in table(7, "exit code of `hfdm`")} == {*client, session.INTERRUPTED}


def test_no_file_cites_a_page_that_is_not_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not in a clone")
    for name in listed.stdout.rstrip("\0").split("\0"):
        file = ROOT / name
        if name in ("LICENSE", "tests/test_docs.py") or not file.is_file() or file.suffix in (".png", ".ico"):
            continue
        text = file.read_text(errors="replace")
        assert not re.search(r"\b[Cc]ontract(?:'s)?\b", text), f"{name} cites a contract"
        for cited in re.findall(r"docs/api\.md, section ([0-9]+)", text):
            assert int(cited) in SECTIONS, f"{name} cites section {cited}"
