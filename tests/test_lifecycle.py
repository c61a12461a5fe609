"""The table of changes: what is legal, what a change sets, and that the docs tell the same."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd.lifecycle import TRANSITIONS, InvalidTransition, Stimulus, advance, percent
from hfdmd.record import FileRecord, FileSpec, Source
from hfdmd.wire.types import FAILED_REASONS, QUEUED_REASONS, Reason, RepoType, Status

ROOT = Path(__file__).parents[1]

CONTRACT = {
    Status.QUEUED: {Status.DOWNLOADING, Status.PAUSED, Status.CANCELLED, Status.FAILED},
    Status.DOWNLOADING: {Status.DONE, Status.FAILED, Status.PAUSED, Status.CANCELLED, Status.QUEUED},
    Status.PAUSED: {Status.QUEUED, Status.CANCELLED},
    Status.DONE: {Status.QUEUED},
    Status.FAILED: {Status.QUEUED, Status.CANCELLED},
    Status.CANCELLED: {Status.QUEUED},
}
"""What each status may become."""


def record(status: Status) -> FileRecord:
    spec = FileSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main", file_path="a")
    made = FileRecord(id=spec.id, spec=spec, created_at="c", updated_at="u", version=1)
    made.set_state(status)
    made.source = Source(commit="0" * 40, etag="e", size_bytes=1000, digest=None)
    return made


def fitting_reason(status: Status) -> Reason | None:
    return {Status.FAILED: Reason.GATED, Status.PAUSED: Reason.REQUESTED}.get(status)


def test_the_table_allows_exactly_what_the_contract_does() -> None:
    allowed: dict[Status, set[Status]] = {status: set() for status in Status}
    for (before, _), after in TRANSITIONS.items():
        if before is not after:
            allowed[before].add(after)
    assert allowed == CONTRACT


@pytest.mark.parametrize(("before", "stimulus"), list(itertools.product(Status, Stimulus)))
def test_every_pair_changes_as_the_table_says_or_not_at_all(before: Status, stimulus: Stimulus) -> None:
    changed = record(before)
    after = TRANSITIONS.get((before, stimulus))
    if after is None:
        with pytest.raises(InvalidTransition):
            advance(changed, stimulus, "now", version=2)
        assert (changed.state, changed.version) == (before, 1)
        return
    advance(changed, stimulus, "now", version=2, reason=fitting_reason(after), detail="why")
    assert changed.state is after
    assert (changed.version, changed.updated_at, changed.detail) == (2, "now", "why")
    assert changed.error == ("why" if after is Status.FAILED else None)
    assert (changed.progress == 100) == (after is Status.DONE)


def test_a_version_that_does_not_rise_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        advance(record(Status.QUEUED), Stimulus.START, "now", version=1)


@pytest.mark.parametrize("reason", Reason)
def test_reasons_fit_their_status(reason: Reason) -> None:
    if reason in FAILED_REASONS:
        advance(record(Status.DOWNLOADING), Stimulus.FAIL, "now", version=2, reason=reason)
    else:
        with pytest.raises(ValueError, match="reason"):
            advance(record(Status.DOWNLOADING), Stimulus.FAIL, "now", version=2, reason=reason)
    if reason in QUEUED_REASONS:
        advance(record(Status.DOWNLOADING), Stimulus.WAIT, "now", version=2, reason=reason, retry_at="later")
    else:
        with pytest.raises(ValueError, match="reason"):
            advance(record(Status.DOWNLOADING), Stimulus.WAIT, "now", version=2, reason=reason)


def test_failing_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        advance(record(Status.DOWNLOADING), Stimulus.FAIL, "now", version=2)


@given(st.integers(0, 2**50), st.one_of(st.none(), st.integers(0, 2**50)))
def test_progress_is_rounded_down_and_below_100(done: int, total: int | None) -> None:
    shown = percent(done, total)
    assert 0 <= shown <= 99.9
    assert round(shown, 1) == shown
    if total and done < total:
        assert shown * total <= done * 100 * (1 + 1e-9)


def test_the_docs_tell_the_same_table() -> None:
    text = (ROOT / "docs" / "how-it-works.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|", text, re.MULTILINE)
    assert {(Status(before), Stimulus(stimulus)): Status(after) for before, stimulus, after in rows} == TRANSITIONS
