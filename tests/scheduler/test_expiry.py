"""What the Hub does not have is forgotten after a while; what has a file, a part of one or another cause is kept."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hfdmd.lifecycle import Stimulus
from hfdmd.record import rfc3339
from hfdmd.scheduler import expiry as expiry_module
from hfdmd.scheduler.expiry import KEPT_S
from hfdmd.wire.types import Reason, Status
from tests.scheduler.parts import Wired, file_of, repo_of, source_of, until


def later(monkeypatch: pytest.MonkeyPatch, passed_s: float) -> None:
    now = time.monotonic()
    monkeypatch.setattr(expiry_module.time, "monotonic", lambda: now + passed_s)


@pytest.mark.parametrize(
    ("reason", "fields", "goes"),
    [
        (Reason.REPO_NOT_FOUND, {}, True),
        (Reason.REVISION_NOT_FOUND, {}, True),
        (Reason.FILE_NOT_FOUND, {}, True),
        (Reason.GATED, {}, False),
        (Reason.FILE_NOT_FOUND, {"source": source_of()}, False),
        (Reason.FILE_NOT_FOUND, {"repo_ids": ["r"], "asked_singly": False}, False),
    ],
)
async def test_a_file_that_never_was_goes_by_itself(
    wired: Wired, monkeypatch: pytest.MonkeyPatch, reason: Reason, fields: dict[str, Any], goes: bool
) -> None:
    record, other = file_of("a", **{"asked_singly": True, **fields}), file_of("b", asked_singly=True, number=1)
    wired.enter(record, other)
    wired.made.ledger.change(record, Stimulus.FAIL, reason=reason, detail="x")
    later(monkeypatch, KEPT_S - 5)
    wired.expiry._due()
    assert wired.made.index.holds(record), "not before its time"
    later(monkeypatch, KEPT_S + 5)
    wired.expiry._due()
    if goes:
        await until(lambda: not wired.made.index.holds(record))
        assert record.id not in wired.made.on_disk()
    monkeypatch.undo()
    assert wired.made.index.holds(record) is not goes
    assert wired.made.index.holds(other)


async def test_a_repo_that_never_was_goes_too(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = repo_of()
    wired.enter(repo)
    wired.made.ledger.derive(repo, Status.FAILED, reason=Reason.REPO_NOT_FOUND, detail="x")
    later(monkeypatch, KEPT_S + 5)
    wired.expiry._due()
    await until(lambda: not wired.made.index.repos)


async def test_what_is_asked_for_again_meanwhile_stays(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    record = file_of("a", asked_singly=True)
    wired.enter(record)
    wired.made.ledger.change(record, Stimulus.FAIL, reason=Reason.FILE_NOT_FOUND, detail="x")
    wired.made.ledger.change(record, Stimulus.RETRY)
    assert len(wired.expiry._times) == 0


async def test_what_failed_before_a_restart_goes_at_its_time(wired: Wired) -> None:
    old, new = file_of("a", Status.FAILED, asked_singly=True), file_of("b", Status.FAILED, asked_singly=True, number=1)
    for record, ago_s in ((old, KEPT_S + 1), (new, 1.0)):
        record.reason, record.updated_at = Reason.REPO_NOT_FOUND, rfc3339(time.time() - ago_s)
        wired.made.index.add(record)
    await wired.expiry.loaded()
    await until(lambda: not wired.made.index.holds(old))
    assert wired.made.index.holds(new)
