"""Tokens of callers: whose is used, and when it is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from hfdmd.hub.client import Hub
from hfdmd.record import FileRecord, RepoRecord, RepoSpec, new_file, new_repo
from hfdmd.scheduler.caller_tokens import CallerTokens
from hfdmd.wire.types import RepoType, Status

REPO = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main")


class Asked:
    """Stands for the Hub: remembers whose token it is asked with."""

    def as_caller(self, token: Callable[[], str | None]) -> Asked:
        self.token = token
        return self


def used(tokens: CallerTokens, record: FileRecord | RepoRecord) -> str | None:
    return cast(Asked, tokens.hub_for(record)).token()


@pytest.fixture
def tokens() -> CallerTokens:
    return CallerTokens(cast(Hub, Asked()))


@pytest.fixture
def file() -> FileRecord:
    return new_file(REPO.file("a"), 1, 0.0, 0.0)


def test_a_file_uses_its_own_else_that_of_its_repo(tokens: CallerTokens, file: FileRecord) -> None:
    repo = new_repo(REPO, 1, 0.0)
    assert used(tokens, file) is None
    tokens.bring(repo.id, "hf_repo", None)
    assert used(tokens, repo) == "hf_repo"
    assert used(tokens, file) is None, "it is not of that repo download"
    file.repo_ids = [repo.id]
    assert used(tokens, file) == "hf_repo"
    tokens.bring(file.id, "hf_file", None)
    assert used(tokens, file) == "hf_file"


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        (Status.QUEUED, "hf_first"),
        (Status.DOWNLOADING, "hf_first"),
        (Status.PAUSED, "hf_first"),
        (Status.FAILED, "hf_second"),
        (Status.CANCELLED, "hf_second"),
        (Status.DONE, "hf_second"),
    ],
)
def test_a_second_caller_does_not_stop_the_first(
    tokens: CallerTokens, file: FileRecord, status: Status, kept: str
) -> None:
    tokens.bring(file.id, "hf_first", None)
    file.set_state(status)
    tokens.bring(file.id, "hf_second", file)
    assert used(tokens, file) == kept
    tokens.bring(file.id, None, file)
    assert used(tokens, file) == kept, "a caller without a token takes none away"


@pytest.mark.parametrize("status", list(Status))
def test_it_is_forgotten_at_the_end(tokens: CallerTokens, file: FileRecord, status: Status) -> None:
    tokens.bring(file.id, "hf_one", None)
    file.set_state(status)
    tokens.changed(file, Status.QUEUED)
    assert len(tokens) == (0 if status in (Status.DONE, Status.CANCELLED) else 1)
    tokens.forgotten(file)
    assert len(tokens) == 0
