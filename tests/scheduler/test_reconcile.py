"""A listing applied twice changes nothing the second time; no file is both dropped and joined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd.lifecycle import Stimulus, allows
from hfdmd.record import Entry, FileRecord, RepoRecord, new_file, rfc3339
from hfdmd.scheduler import reconcile
from hfdmd.scheduler.reconcile import Drop, Join, New
from hfdmd.wire.types import Status
from tests.scheduler.parts import COMMIT, OTHER_COMMIT, REPO, entry_of, file_of, repo_of, source_of

PATHS = st.lists(st.sampled_from("abcdefgh"), unique=True)
STATUSES = st.sampled_from([Status.QUEUED, Status.PAUSED, Status.DONE, Status.FAILED, Status.CANCELLED])


@st.composite
def known_files(draw: st.DrawFn, repo_id: str) -> dict[str, FileRecord]:
    found = {}
    for path in draw(PATHS):
        record = file_of(
            path,
            draw(STATUSES),
            source=source_of(draw(st.integers(0, 1)), commit=draw(st.sampled_from([COMMIT, OTHER_COMMIT]))),
            repo_ids=draw(st.sampled_from([[], [repo_id], ["other"], ["other", repo_id]])),
            asked_singly=draw(st.booleans()),
        )
        found[record.id] = record
    return found


def applied(repo: RepoRecord, known: dict[str, FileRecord], entries: list[Entry]) -> list[str]:
    """Carry the steps out on plain records; what they did."""
    done = []
    children = [key for key, record in known.items() if repo.id in record.repo_ids]
    for step in list(reconcile.reconcile(repo, known, children, enumerate(entries))):
        match step:
            case New():
                spec = repo.spec.file(step.entry.path)
                known[spec.id] = new_file(spec, 1, 0.0, 0.0, source=step.entry.source, repo_ids=[repo.id])
                done.append(f"new {step.entry.path}")
            case Join():
                record = step.record
                if step.is_new_here:
                    record.repo_ids = [*record.repo_ids, repo.id]
                    done.append(f"join {record.spec.file_path}")
                moved = reconcile.moves(repo, step)
                is_other = record.source is not None and not record.source.same_content(step.entry.source)
                if moved:
                    record.source = step.entry.source
                    done.append(f"move {record.spec.file_path}")
                stimulus = reconcile.wake(repo, step, moved=moved, is_other=is_other, is_missing=False)
                if stimulus is not None:
                    assert allows(record.state, stimulus)
                    record.set_state(Status.QUEUED)
                    done.append(f"wake {record.spec.file_path}")
            case Drop():
                record = step.record
                record.repo_ids = [one for one in record.repo_ids if one != repo.id]
                if reconcile.is_unwanted(record):
                    del known[record.id]
                done.append(f"drop {record.spec.file_path}")
    return done


@given(st.data(), PATHS, PATHS, st.booleans(), st.booleans(), st.booleans())
def test_a_listing_is_idempotent_and_no_file_is_both_dropped_and_joined(
    data: st.DataObject, listed: list[str], dropped: list[str], revive: bool, moving: bool, retry: bool
) -> None:
    repo = repo_of(revive=revive, moving=moving, retry=retry, dropped=set(dropped))
    known = data.draw(known_files(repo.id))
    entries = [entry_of(path) for path in listed]
    first = applied(repo, known, entries)
    touched = [step.split()[1] for step in first if step.startswith(("new", "join"))]
    lost = [step.split()[1] for step in first if step.startswith("drop")]
    assert not set(touched) & set(lost)
    assert not set(touched) & set(dropped), "what was deleted out of it stays deleted"
    repo.revive = repo.moving = repo.retry = False  # as a listing leaves it
    assert applied(repo, known, entries) == []
    wanted = {REPO.file(path).id for path in set(listed) - set(dropped)}
    children = {key for key, record in known.items() if repo.id in record.repo_ids}
    assert wanted <= children
    assert children - wanted <= {REPO.file(path).id for path in set(listed) & set(dropped)}


@given(st.data(), PATHS)
def test_a_listing_that_only_restores_wakes_and_moves_nothing(data: st.DataObject, listed: list[str]) -> None:
    repo = repo_of(revive=False, held=True)
    known = data.draw(known_files(repo.id))
    before = {key: (record.state, record.source) for key, record in known.items()}
    applied(repo, known, [entry_of(path) for path in listed])
    for key, record in known.items():
        assert key not in before or before[key] == (record.state, record.source)


def test_what_is_waked_and_how() -> None:
    repo = repo_of(revive=True)

    def waked(status: Status, *, new: bool = False, moved: bool = False, other: bool = False, gone: bool = False):
        step = Join(file_of("a", status), entry_of("a"), new)
        return reconcile.wake(repo, step, moved=moved, is_other=other, is_missing=gone)

    assert waked(Status.DONE, gone=True) is Stimulus.ASK
    assert waked(Status.DONE, moved=True) is Stimulus.ASK
    assert waked(Status.DONE) is None
    assert waked(Status.CANCELLED, new=True) is Stimulus.ASK
    assert waked(Status.CANCELLED) is None, "it was cancelled after it had been asked for"
    since = Join(file_of("a", Status.CANCELLED), entry_of("a"), is_new_here=True, is_cancelled_since=True)
    assert reconcile.wake(repo, since, moved=False, is_other=False, is_missing=False) is None
    assert waked(Status.FAILED) is None
    assert waked(Status.FAILED, moved=True, other=True) is Stimulus.RETRY
    repo.retry = True
    assert waked(Status.FAILED) is Stimulus.RETRY
    assert waked(Status.PAUSED, moved=True, other=True) is None


def test_a_file_that_has_not_started_gets_the_least_strict_status() -> None:
    paused = file_of("a", Status.PAUSED)
    assert reconcile.released(paused, is_tracked=False, implied=Status.QUEUED) == [Stimulus.RESUME]
    assert reconcile.released(paused, is_tracked=True, implied=Status.QUEUED) == [], "it was paused itself"
    assert reconcile.released(paused, is_tracked=False, implied=Status.PAUSED) == []
    cancelled = file_of("a", Status.CANCELLED)
    assert reconcile.released(cancelled, is_tracked=False, implied=Status.PAUSED) == [Stimulus.ASK, Stimulus.PAUSE]
    assert reconcile.released(file_of("a"), is_tracked=False, implied=Status.PAUSED) == []


@pytest.mark.parametrize(("cancelled_s", "asked_s", "is_since"), [(5, None, True), (5, 9, False), (-5, None, False)])
def test_what_was_cancelled_before_the_first_listing_named_it_stays_so_unless_it_is_asked_for_again(
    cancelled_s: float, asked_s: float | None, is_since: bool
) -> None:
    repo = repo_of(number=100)
    repo.asked_at = None if asked_s is None else rfc3339(100 + asked_s)
    record = file_of("a", Status.CANCELLED)
    record.updated_at = rfc3339(100 + cancelled_s)
    (step,) = reconcile.reconcile(repo, {record.id: record}, [], [(0, entry_of("a"))])
    assert isinstance(step, Join)
    assert (step.is_new_here, step.is_cancelled_since) == (True, is_since)
