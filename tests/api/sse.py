"""Reading an event stream as an EventSource does, strictly: WHATWG HTML, server-sent events."""

from __future__ import annotations

import io
import json
import queue
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from tests.daemon_process import DEADLINE_S, Daemon


@dataclass(frozen=True)
class Event:
    name: str
    id: str
    data: Any


class _Ahead(io.RawIOBase):
    """Reads a stream as fast as it arrives, in a thread, however slowly its user takes it."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._rest = b""
        threading.Thread(target=self._read_all, args=[stream], daemon=True).start()

    def _read_all(self, stream: io.BufferedReader) -> None:
        try:
            while piece := stream.read1(1 << 20):
                self._pieces.put(piece)
        except (OSError, ValueError):
            pass  # closed by the test
        self._pieces.put(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or self._pieces.get(timeout=DEADLINE_S)
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


class Stream:
    """One stream over a socket of its own. Iterating gives events until the server ends the stream."""

    def __init__(
        self,
        daemon: Daemon,
        query: Mapping[str, Any] | None = None,
        *,
        last_event_id: str | None = None,
        receive_buffer_bytes: int | None = None,
        timeout: float = DEADLINE_S,
    ) -> None:
        self.comments = 0
        self.retry_ms: int | None = None
        self._socket = daemon.connect(timeout=timeout)
        if receive_buffer_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        target = "/api/progress" + (f"?{urlencode(query)}" if query else "")
        last = f"Last-Event-ID: {last_event_id}\r\n" if last_event_id is not None else ""
        self._socket.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{last}\r\n".encode())
        self._reader: io.BufferedReader = self._socket.makefile("rb")
        self.status = int(self._reader.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._reader.readline().strip():
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hang_up(self) -> None:
        """End the stream for whatever thread iterates over it."""
        self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def read_ahead(self) -> Self:
        """From now on keep up with any daemon, whatever the test does meanwhile."""
        self._reader = io.BufferedReader(_Ahead(self._reader))
        return self

    def body(self) -> bytes:
        """The body of an answer that is no stream."""
        return self._reader.read(int(self.headers.get("content-length", "0")))

    def _chunks(self) -> Iterator[bytes]:
        while True:
            line = self._reader.readline()
            if not line:
                return
            size = int(line, 16)
            data = self._reader.read(size)
            assert self._reader.readline() == b"\r\n"
            if size == 0:
                return
            yield data

    def _lines(self) -> Iterator[str]:
        rest = b""
        for chunk in self._chunks():
            *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
            for line in lines:
                yield line.decode()
        assert not rest, "the stream ended within a line"

    def __iter__(self) -> Iterator[Event]:
        name, data, last_id = "", "", ""
        has_id = False
        for line in self._lines():
            if line.startswith(":"):
                self.comments += 1
                continue
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                assert not data, "our events have one line of data"
                data = value
            elif field == "id":
                last_id, has_id = value, True
            elif field == "retry":
                self.retry_ms = int(value)
            else:
                assert line == "", f"an unknown line: {line!r}"
                if name:
                    assert has_id, f"event {name} has no id"
                    yield Event(name, last_id, json.loads(data))
                name, data, has_id = "", "", False


def until_ready(events: Iterator[Event]) -> list[Event]:
    """The present state: all events before `ready`."""
    found = []
    for event in events:
        if event.name == "ready":
            assert event.data == {}
            return found
        found.append(event)
    raise AssertionError(f"the stream ended before it was ready: {found}")
