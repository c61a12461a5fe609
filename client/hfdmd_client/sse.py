"""Parses a stream of server-sent events. Pure.

Source: HTML Living Standard, 9.2.6 "Interpreting an event stream".
"""

from __future__ import annotations

from dataclasses import dataclass

from hfdmd_client.errors import ProtocolError

MAX_EVENT_BYTES = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event: its name, its data, and the last event id of the stream at that point."""

    event: str
    data: str
    id: str


class SseParser:
    """Turns received bytes into events. Comments and `retry` have no effect."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at_start = True
        self._event = ""
        self._data: list[str] = []
        self._data_bytes = 0
        self._id = ""

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that `chunk` completes. Raises `ProtocolError` for an event larger than `MAX_EVENT_BYTES`."""
        self._buffer += chunk
        if self._at_start and (len(self._buffer) >= 3 or not _BOM.startswith(self._buffer)):
            self._at_start = False
            if self._buffer.startswith(_BOM):
                del self._buffer[:3]
        events = [event for line in self._lines() if (event := self._line(line)) is not None]
        if len(self._buffer) + self._data_bytes > MAX_EVENT_BYTES:
            raise ProtocolError(f"an event of the stream is larger than {MAX_EVENT_BYTES} bytes")
        return events

    def _lines(self) -> list[bytes]:
        """Removes the complete lines from the buffer. A CR at the end stays: an LF may follow."""
        held_back = self._buffer.endswith(b"\r")
        usable = bytes(self._buffer[:-1] if held_back else self._buffer)
        lines = usable.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest = lines.pop()
        self._buffer = bytearray(rest + (b"\r" if held_back else b""))
        return lines

    def _line(self, raw: bytes) -> SseEvent | None:
        line = raw.decode("utf-8", "replace")
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
            self._data_bytes += len(raw)
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> SseEvent | None:
        event, data = self._event, self._data
        self._event, self._data, self._data_bytes = "", [], 0
        return SseEvent(event or "message", "\n".join(data), self._id) if data else None
