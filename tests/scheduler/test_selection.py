"""Which files an action means: those of a paused repo stay when another request wants them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd.lifecycle import Stimulus, allows
from hfdmd.record import RepoSpec, rfc3339
from hfdmd.scheduler import selection
from hfdmd.scheduler.index import Index
from hfdmd.wire.errors import NotAllowedNow
from hfdmd.wire.types import Reason, RepoType, Selector, Status
from tests.scheduler.parts import file_of, repo_of

ACTIONS = [Stimulus.PAUSE, Stimulus.RESUME, Stimulus.CANCEL, Stimulus.RETRY]


@pytest.mark.parametrize("stimulus", ACTIONS)
@pytest.mark.parametrize("status", list(Status))
def test_an_action_fits_only_where_the_table_allows_it(stimulus: Stimulus, status: Status) -> None:
    if selection.fits(file_of("a", status), stimulus, None):
        assert allows(status, stimulus)


def test_a_running_repo_is_resumed_and_retried_for_single_files_of_it() -> None:
    index = Index()
    repo = repo_of(Status.DOWNLOADING, listed=True, held=True)
    index.add(repo)
    index.add(file_of("a", Status.PAUSED, repo_ids=[repo.id]))
    assert selection.fits(repo, Stimulus.RESUME, index.sums[repo.id])
    assert not selection.fits(repo, Stimulus.RETRY, index.sums[repo.id])
    index.add(file_of("b", Status.FAILED, repo_ids=[repo.id]))
    assert selection.fits(repo, Stimulus.RETRY, index.sums[repo.id])
    repo.held = False
    assert not selection.fits(repo, Stimulus.RESUME, index.sums[repo.id]), "the file was paused itself"


def test_what_is_queued_is_retried_only_if_it_waits() -> None:
    index = Index()
    repo = repo_of(listed=True)
    index.add(repo)
    queued = file_of("a", repo_ids=[repo.id])
    index.add(queued)
    sums = index.sums[repo.id]
    assert not selection.fits(queued, Stimulus.RETRY, None)
    assert not selection.fits(repo, Stimulus.RETRY, sums)
    selection.check_already(Stimulus.RETRY, [queued])
    waiting = file_of("b", repo_ids=[repo.id], reason=Reason.NETWORK, retry_at=rfc3339(0))
    index.add(waiting)
    assert selection.fits(waiting, Stimulus.RETRY, None)
    assert selection.fits(repo, Stimulus.RETRY, sums)
    covered = [selection.covers(one, Stimulus.RETRY, {repo.id}, index.repos) for one in (queued, waiting)]
    assert covered == [False, True]


@given(st.sampled_from(ACTIONS), st.sampled_from(list(Status)), st.booleans(), st.booleans(), st.booleans())
def test_a_file_that_another_request_wants_is_left_alone(
    stimulus: Stimulus, status: Status, singly: bool, held: bool, cancelled: bool
) -> None:
    acting = repo_of(listed=True)
    other = repo_of(spec=RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main", include=("a",)))
    other.held, other.cancelled = held, cancelled
    child = file_of("a", status, repo_ids=[acting.id, other.id], asked_singly=singly)
    known = {acting.id: acting, other.id: other}
    covered = selection.covers(child, stimulus, {acting.id}, known)
    if status not in selection.ACTS_ON[stimulus] or (stimulus, status) == (Stimulus.RETRY, Status.QUEUED):
        assert not covered
    elif stimulus in (Stimulus.PAUSE, Stimulus.CANCEL):
        is_wanted = (singly and status is not Status.PAUSED) or not (held or cancelled)
        assert covered is not is_wanted
    else:
        assert covered is not (stimulus is Stimulus.RETRY and status is Status.CANCELLED)


def test_an_action_that_fits_nothing_is_refused_unless_it_is_so_already() -> None:
    selection.check_already(Stimulus.PAUSE, [file_of("a", Status.PAUSED)])
    with pytest.raises(NotAllowedNow, match="cannot pause: it is done"):
        selection.check_already(Stimulus.PAUSE, [file_of("a", Status.DONE)])


def test_a_repo_goes_with_its_last_file() -> None:
    index = Index()
    repo = repo_of(listed=True)
    files = [file_of(name, repo_ids=[repo.id]) for name in "ab"]
    for record in (repo, *files):
        index.add(record)
    assert selection.emptied({files[0].id: files[0]}, index) == []
    assert selection.emptied({record.id: record for record in files}, index) == [repo]
    repo.listed = False
    assert selection.emptied({record.id: record for record in files}, index) == [], "it may name more"


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ([], None),
        ([{"held": True}], Stimulus.PAUSE),
        ([{"cancelled": True}], Stimulus.CANCEL),
        ([{"held": True}, {}], None),
    ],
)
def test_what_only_a_deleted_request_kept_going_is_held_as_the_others_say(
    parents: list[dict[str, bool]], expected: Stimulus | None
) -> None:
    assert selection.held_by_others(file_of("a"), [repo_of(**fields) for fields in parents]) is expected
    assert selection.held_by_others(file_of("a", asked_singly=True), [repo_of(held=True)]) is None
    assert selection.held_by_others(file_of("a", Status.DONE), [repo_of(held=True)]) is None


def test_which_selectors_name_one_download() -> None:
    assert selection.is_narrow(Selector(id="a"))
    assert selection.is_narrow(Selector(model_repo="o/n", file_path="a"))
    assert not selection.is_narrow(Selector(model_repo="o/n"))
