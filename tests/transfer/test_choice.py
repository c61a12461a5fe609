"""Which transport fetches a file, and which failures make another one take over."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from hfdmd.failure import Failure
from hfdmd.transfer.choice import MAX_HTTP_BYTES, TransportChoice, preferred
from hfdmd.transfer.job import Job
from hfdmd.transfer.transport import Transport
from hfdmd.wire.types import Reason, TransportName
from tests.transfer.scripted_server import a_job


def job_of(size_bytes: int = 1000) -> Job:
    async def locate() -> None:
        raise AssertionError("asked for a URL")

    job = a_job(Path("/none"), b"", locate)  # type: ignore[arg-type]  # never called
    job.size_bytes = size_bytes
    return job


def choice_of(setting: str = "auto", *, has_xet: bool = True, size_bytes: int = 1000) -> TransportChoice:
    names: list[TransportName] = ["http", "xet"] if has_xet else ["http"]
    makers = {name: lambda name=name: cast(Transport, name) for name in names}  # type: ignore[misc]
    return preferred(job_of(size_bytes), setting, makers, None)


@pytest.mark.parametrize(
    ("setting", "has_xet", "size_bytes", "expected"),
    [
        ("auto", True, 1000, "http"),
        ("auto", True, MAX_HTTP_BYTES + 1, "xet"),
        ("auto", False, MAX_HTTP_BYTES + 1, "http"),
        ("xet", True, 1000, "xet"),
        ("xet", False, 1000, "http"),
        ("http", True, MAX_HTTP_BYTES + 1, "http"),
    ],
)
def test_the_first_one(setting: str, has_xet: bool, size_bytes: int, expected: str) -> None:
    assert choice_of(setting, has_xet=has_xet, size_bytes=size_bytes).transport == expected


CHANGES = {Reason.NETWORK, Reason.HUB_UNAVAILABLE, Reason.RATE_LIMITED, Reason.STALLED, Reason.XET_REQUIRED}
OF_THE_DISK = {Reason.DISK_FULL, Reason.DISK_ERROR, Reason.PATH_TAKEN, Reason.LOCKED}
REASONS = [reason for reason in Reason if reason not in (Reason.REQUESTED, Reason.RESTARTED)]


@pytest.mark.parametrize("reason", REASONS)
def test_which_failures_of_http_xet_may_not_share(reason: Reason) -> None:
    choice = choice_of()
    assert choice.change(Failure(reason, "it broke"), has_progressed=False) is (reason in CHANGES)
    assert choice.transport == ("xet" if reason in CHANGES else "http")


@pytest.mark.parametrize("reason", REASONS)
def test_every_failure_of_xet_but_one_of_the_disk_leads_to_http(reason: Reason) -> None:
    choice = choice_of(size_bytes=MAX_HTTP_BYTES + 1)
    assert choice.change(Failure(reason, "it broke"), has_progressed=False) is (reason not in OF_THE_DISK)
    assert choice.transport == ("xet" if reason in OF_THE_DISK else "http")


@pytest.mark.parametrize("setting", ["http", "xet"])
def test_a_setting_that_names_one_is_kept(setting: str) -> None:
    choice = choice_of(setting)
    assert choice.errors_in_a_row is None
    assert not choice.change(Failure(Reason.NETWORK, "no route"), has_progressed=True)


def test_when_both_fail_the_one_whose_failure_may_pass_is_waited_for() -> None:
    choice = choice_of()
    assert choice.errors_in_a_row is not None
    assert choice.change(Failure(Reason.NETWORK, "no route"), has_progressed=False)
    assert choice.change(Failure(Reason.REPO_NOT_FOUND, "no token"), has_progressed=False)
    assert choice.transport == "http"
    assert choice.errors_in_a_row is None
    assert not choice.change(Failure(Reason.NETWORK, "no route"), has_progressed=False)


def test_a_transport_that_failed_is_tried_again_after_bytes_have_come() -> None:
    choice = choice_of()
    for number in range(6):
        assert choice.change(Failure(Reason.STALLED, "silent"), has_progressed=number > 0)
    assert choice.transport == "http"


def test_a_change_is_said() -> None:
    job = job_of()
    makers = {name: lambda: cast(Transport, None) for name in ("http", "xet")}
    choice = TransportChoice(job, makers)  # type: ignore[arg-type]  # a literal
    job.meter.last_error = (Reason.NETWORK, "no route")
    assert choice.change(Failure(Reason.NETWORK, "no route to the CDN"), has_progressed=False)
    assert job.meter.notice == "HTTP failed (no route to the CDN); continuing over Xet"
    assert job.meter.last_error is None
