from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd_client import sse
from hfdmd_client.errors import ProtocolError
from hfdmd_client.sse import SseEvent, SseParser


def parsed(*chunks: bytes) -> list[SseEvent]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def test_an_event_has_name_data_and_id() -> None:
    assert parsed(b'id: 7\nevent: progress\ndata: {"a": 1}\n\n') == [SseEvent("progress", '{"a": 1}', "7")]


def test_the_id_stays_until_another_comes() -> None:
    events = parsed(b"id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n")
    assert [event.id for event in events] == ["7", "7", ""]


def test_details_of_the_standard() -> None:
    assert parsed(b"data:no space\ndata:  two\n\n") == [SseEvent("message", "no space\n two", "")]
    assert parsed(b": comment\nretry: 1000\n\n: another\n\n") == []
    assert parsed(b"event: gone\n\ndata: x\n\n") == [SseEvent("message", "x", "")]
    assert parsed(b"\xef\xbb\xbfdata: bom\n\n") == [SseEvent("message", "bom", "")]
    assert parsed(b"id: a\0b\ndata: x\n\n") == [SseEvent("message", "x", "")]
    assert parsed(b"data: unfinished\n") == []
    assert parsed(b"data: \xff\n\n") == [SseEvent("message", "\N{REPLACEMENT CHARACTER}", "")]


_LINES = st.sampled_from(["data: a", "data", "event: e", "id: 3", ": c", "", "", "datax: 1", "data: ü"])


@given(st.lists(_LINES, max_size=30), st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_how_it_is_cut_and_which_line_ends_it_has_do_not_matter(
    lines: list[str], end: str, data: st.DataObject
) -> None:
    raw = "".join(line + end for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    whole = parsed("".join(line + "\n" for line in lines).encode())
    cut = parsed(*pieces)
    # A CR at the very end waits for an LF that may belong to it: at most the last event is still to come.
    assert cut == whole or (end == "\r" and cut == whole[:-1])


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    parser = SseParser()
    with pytest.raises(ProtocolError, match="larger than 1000"):
        parser.feed(b"data: x\n" * 200)
