from __future__ import annotations

import pytest

from hfdmd.wire.types import Download, End, Removed, Status
from hfdmd_client.errors import ProtocolError
from hfdmd_client.event_state import EventState, Ready
from hfdmd_client.sse import SseEvent
from tests.client.samples import download, event, repo_download


def test_the_newest_version_wins() -> None:
    state = EventState()
    assert state.feed(event("progress", download(version=5))) == [download(version=5)]
    assert state.feed(event("progress", download(version=4))) == []
    assert state.feed(event("progress", download(version=5))) == []
    assert state.feed(event("progress", download(version=6))) == [download(version=6)]


def test_a_reconnect_tells_only_news() -> None:
    state = EventState()
    state.connected()
    state.feed(event("progress", download(version=5)))
    assert state.feed(event("ready", {})) == [Ready()]
    state.connected()
    assert state.feed(event("progress", download(version=5))) == []
    assert state.feed(event("ready", {})) == [Ready()]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.DOWNLOADING, Status.PAUSED, Status.FAILED])
def test_what_was_live_and_is_not_named_again_is_gone(status: Status) -> None:
    state = EventState()
    state.feed(event("progress", download(id="a", status=status)))
    state.feed(event("ready", {}))
    state.connected()
    state.feed(event("repo", repo_download(id="b")))
    assert state.feed(event("ready", {})) == [Removed(id="a"), Ready()]


def test_what_was_done_long_ago_need_not_be_named_again() -> None:
    state = EventState()
    state.feed(event("progress", download(id="a", status=Status.DONE)))
    state.connected()
    assert state.feed(event("ready", {})) == [Ready()]


def test_removed_is_told_once_and_only_of_what_was_known() -> None:
    state = EventState()
    assert state.feed(event("removed", {"id": "a"})) == []
    state.feed(event("progress", download(id="a")))
    assert state.feed(event("removed", {"id": "a"})) == [Removed(id="a")]
    assert state.feed(event("removed", {"id": "a"})) == []


@pytest.mark.parametrize("reason", ["lagging", "shutdown"])
def test_an_end_that_is_none_is_not_told(reason: str) -> None:
    state = EventState()
    assert state.feed(event("end", {"reason": reason})) == []
    assert state.end is None
    assert state.stopping == (reason == "shutdown")


@pytest.mark.parametrize("reason", ["done", "failed", "cancelled", "idle"])
def test_the_end_is_told_and_remembered(reason: str) -> None:
    state = EventState()
    assert state.feed(event("end", {"reason": reason}, "end:7")) == [End(reason=reason)]  # type: ignore[arg-type]
    assert state.end == End(reason=reason)  # type: ignore[arg-type]
    assert state.last_event_id == "end:7"


def test_what_a_newer_daemon_adds_does_no_harm() -> None:
    state = EventState()
    assert state.feed(SseEvent("weather", "{}", "1")) == []
    raw = event("progress", download()).data
    assert isinstance(state.feed(SseEvent("progress", raw[:-1] + ',"novelty":1}', "2"))[0], Download)


def test_gibberish_is_told_as_such() -> None:
    with pytest.raises(ProtocolError, match="unreadable 'progress' event"):
        EventState().feed(SseEvent("progress", '{"id": 3}', "1"))
