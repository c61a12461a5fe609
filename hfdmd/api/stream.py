"""Live progress as server-sent events: present state, `ready`, changes, `end`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from aiohttp import HttpVersion11, web
from aiohttp_sse import EventSourceResponse

from hfdmd.api import responses
from hfdmd.api.scope import Scope
from hfdmd.events import Listener, frame, state_event
from hfdmd.record import Record
from hfdmd.wire.types import RECONNECT_REASONS, End, EndReason, EventName

log = logging.getLogger("hfdmd.stream")

PING_S = 10.0
SEND_TIMEOUT_S = 60.0
_RETRY = b"retry: 1000\n\n"
_READY = frame(EventName.READY, {}, "ready")
_CHUNK_BYTES = 64 * 1024
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "Vary": "Accept",
    "Server": "hfdmd",
}


class EventStream(EventSourceResponse):
    """An event stream whose frames were encoded once for all listeners.

    aiohttp-sse does the rest of the protocol: headers, pings, closed connections. Two of its headers are replaced:
    without `no-transform` in Cache-Control some proxies compress the stream and so delay it, and its Connection header
    promises keep-alive where the connection is closed.
    """

    def __init__(self) -> None:
        super().__init__(ping_interval=PING_S, send_timeout=SEND_TIMEOUT_S)
        self.headers.update(HEADERS)
        del self.headers["Connection"]

    @property
    def takes_chunks(self) -> bool:
        """Whether the body is chunked: not over HTTP/1.0."""
        return self._req is not None and self._req.version >= HttpVersion11

    def send_at_once(self, chunk: bytes) -> bool:
        """Write a chunk directly if the transport's buffer is empty. False: it is not, or the connection is closed."""
        request = self._req
        transport = request.transport if request is not None else None
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            return False
        transport.write(chunk)
        return True

    async def send_frames(self, data: bytes) -> None:
        """Write frames. Raises ConnectionError for a closed connection, TimeoutError for a peer that does not read."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self.write(data)
        except TimeoutError:
            self._abort_transport()
            raise


async def serve(request: web.Request, scope: Scope) -> web.StreamResponse:
    """Stream `scope` until it ends, the daemon stops, or the listener disconnects or lags.

    Answers 204 to a reconnect after a final `end` when nothing has changed, so that an EventSource stops.
    """
    events = scope.scheduler.events
    listener = events.subscribe(scope.wants)
    scope.wake = listener.wake
    stream = EventStream()
    try:
        records = scope.begin()
        if request.headers.get("Last-Event-ID") == _final_id(records) and scope.end_reason() is not None:
            return web.Response(status=204, headers=responses.HEADERS)
        await stream.prepare(request)
        await _send_events(stream, listener, scope, records)
    except (ConnectionError, TimeoutError):
        log.debug("a listener disconnected")
    finally:
        events.unsubscribe(listener)
        if stream.prepared:
            stream.stop_streaming()
    return stream


async def _send_events(stream: EventStream, listener: Listener, scope: Scope, records: list[Record]) -> None:
    events = scope.scheduler.events
    pending = bytearray(_RETRY)
    for record in records:
        if record.id not in scope.scheduler.index:
            continue  # removed while earlier ones were sent; its `removed` event is pending
        pending += state_event(scope.scheduler.views.of(record)).frame
        if len(pending) >= _CHUNK_BYTES:
            await stream.send_frames(bytes(pending))
            pending.clear()
            await asyncio.sleep(0)  # let other tasks run during a long present state
            if events.closing or listener.lagging:
                break
    else:
        pending += _READY
    reason: EndReason | None = None
    while True:
        pending += b"".join(event.frame for event in listener.take_all())
        if listener.lagging:
            reason = EndReason.LAGGING
        elif events.closing:
            reason = EndReason.SHUTDOWN
        else:
            reason = scope.end_reason()
        if reason is not None:
            break
        if pending:
            await stream.send_frames(bytes(pending))
            pending.clear()
        if stream.takes_chunks:
            listener.direct = stream.send_at_once
        await listener.wait()
    final = reason not in RECONNECT_REASONS
    pending += frame(EventName.END, End(reason=reason), _final_id(scope.present()) if final else f"end:{reason}")
    await stream.send_frames(bytes(pending))


def _final_id(records: list[Record]) -> str:
    """Id of a final `end`: the number of records and their newest version."""
    return f"end:{len(records)}:{max((record.version for record in records), default=0)}"
