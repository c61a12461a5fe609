"""What the API shows of records; showing changes none of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd.lifecycle import Stimulus
from hfdmd.scheduler import views
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.queue import Queue
from hfdmd.scheduler.running import Running
from hfdmd.scheduler.views import Views
from hfdmd.wire.types import Phase, Reason, Status
from tests.scheduler.parts import Parts, active_of, file_of, repo_of, source_of

ORDER = [Status.DOWNLOADING, Status.QUEUED, Status.PAUSED, Status.FAILED, Status.CANCELLED, Status.DONE]


@given(st.lists(st.sampled_from(ORDER), min_size=1, max_size=6))
def test_a_repo_shows_the_first_status_that_holds(statuses: list[Status]) -> None:
    index = Index()
    repo = repo_of(listed=True)
    index.add(repo)
    for number, status in enumerate(statuses):
        index.add(file_of(str(number), status, repo_ids=[repo.id], reason=Reason.TLS, detail="x"))
    assert views.standing(index, repo).status is min(statuses, key=ORDER.index)


def test_a_view_of_a_repo_is_fresh_and_changes_no_record() -> None:
    index, running = Index(), Running()
    shown = Views(index, Queue(index, running.is_free), running)
    repo = repo_of(Status.DOWNLOADING, listed=True, downloaded_bytes=1, files_total=9)
    index.add(repo)
    index.add(file_of("a", Status.DONE, source=source_of(), downloaded_bytes=100, repo_ids=[repo.id]))
    index.add(file_of("b", source=source_of(size_bytes=300), downloaded_bytes=0, repo_ids=[repo.id]))
    before = msgspec.json.encode(repo)
    assert shown.repo(repo).files_total == 9, "not all files are loaded: the tracker's own numbers hold"
    index.is_complete = True
    view = shown.repo(repo)
    assert (view.files_total, view.files_done, view.total_bytes, view.downloaded_bytes) == (2, 1, 400, 100)
    assert view.progress == 25
    assert msgspec.json.encode(repo) == before


def test_speed_and_position_are_shown_only_where_they_mean_something() -> None:
    record = file_of("a", Status.PAUSED, source=source_of(), downloaded_bytes=50)
    view = views.file_view(record, bytes_per_second=10, queue_position=3)
    assert (view.bytes_per_second, view.eta_seconds, view.queue_position) == (None, None, None)
    record.set_state(Status.DOWNLOADING)
    view = views.file_view(record, bytes_per_second=10, queue_position=3)
    assert (view.bytes_per_second, view.eta_seconds, view.queue_position) == (10, 5, None)
    record.set_state(Status.QUEUED)
    assert views.file_view(record, bytes_per_second=10, queue_position=3).queue_position == 3


def test_a_file_that_has_not_started_is_as_its_requests_want_it_most() -> None:
    assert views.implied_status([]) is None
    assert views.implied_status([repo_of(held=True), repo_of()]) is Status.QUEUED
    assert views.implied_status([repo_of(held=True), repo_of(cancelled=True)]) is Status.PAUSED
    assert views.implied_status([repo_of(cancelled=True)]) is Status.CANCELLED


def test_the_folder_of_a_repo_is_seen_from_one_of_its_files() -> None:
    assert views.repo_path(file_of("a/b/c.json", path="/x/snapshots/1/a/b/c.json")) == "/x/snapshots/1"
    assert views.repo_path(file_of("c.json", path="/x/c.json")) == "/x"
    assert views.repo_path(file_of("c.json")) is None


@pytest.mark.parametrize(
    "waits",
    [
        {"status": "queued", "reason": Reason.NETWORK},
        {"status": "failed", "reason": Reason.GATED, "error": "x"},
        {"status": "paused", "reason": Reason.REQUESTED},
    ],
)
def test_a_repo_that_waits_for_its_list_is_downloading_while_a_file_of_it_is(
    made: Parts, waits: dict[str, Any]
) -> None:
    """An update or a second request lists it again while files of it run, and the Hub may be away then."""
    repo = repo_of(listed=False)
    for name, value in waits.items():
        setattr(repo, name, value)
    made.ledger.enter(repo)
    record = file_of("a", repo_ids=[repo.id], source=source_of())
    made.ledger.add_child(record)
    made.running.add_file(active_of(record))
    made.ledger.change(record, Stimulus.START, phase=Phase.TRANSFERRING)
    views = Views(made.index, made.queue, made.running)
    view = views.repo(repo)
    assert (view.status, view.phase, view.reason, view.error) == ("downloading", "transferring", None, None)
    assert (repo.id, repo.state) in made.seen.sums, "it is published"
    made.seen.sums.clear()
    made.running.remove_file(made.running.files[record.id])
    made.ledger.change(record, Stimulus.WAIT, reason=Reason.NETWORK)
    view = views.repo(repo)
    assert (view.status, view.reason, view.error) == (waits["status"], waits["reason"], waits.get("error"))
    assert (repo.id, repo.state) in made.seen.sums, "it is published"
