"""Sends one response, with its faults: stalls, resets, limits, wrong bytes."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Iterator
from itertools import count
from typing import IO

from aiohttp import web
from aiohttp.web_request import BaseRequest

from tests.fakehub.answer import Answer
from tests.fakehub.content import MIB, PathContent
from tests.fakehub.fault import Fault
from tests.fakehub.journal import Request
from tests.fakehub.pace import Pace
from tests.fakehub.sockets import acknowledged_bytes, delivered, own_socket, reset, send_buffer
from tests.fakehub.world import World

SMALL_BYTES = 64 * 1024
PACED_SEND_BUFFER_BYTES = 512 * 1024  # several of loopback's 64 KiB segments: with fewer, delayed ACKs set the pace


class Connection:
    """State of one TCP connection."""

    _numbers = count(1)

    def __init__(self) -> None:
        self.number = next(self._numbers)
        self.pace = Pace()


class Sending:
    """One response while it is being sent."""

    def __init__(
        self,
        world: World,
        gate: asyncio.Event,
        request: BaseRequest,
        entry: Request,
        connection: Connection,
        answer: Answer,
        faults: dict[str, Fault],
    ) -> None:
        self.world = world
        self.gate = gate
        self.request = request
        self.entry = entry
        self.connection = connection
        self.answer = answer
        self.faults = faults
        slow = faults.get("slow")
        self.own_pace = Pace(slow.seconds if slow else 0)
        self.file: IO[bytes] | None = None
        """Open while the body is sent by sendfile."""

    async def run(self) -> web.StreamResponse:
        """Sends it. The log's `sent_bytes` is right afterwards, also when the client disconnected."""
        answer, request = self.answer, self.request
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        if "close" in self.faults:
            response.force_close()
        if "hangup" in self.faults:
            await reset(request)
            return response
        if (stall := self.faults.get("stall")) and stall.after is None:
            await _pause(stall.seconds)
        coded = "gzip" in self.faults or self._may_compress()
        if coded:
            fault = self.faults.get("gzip")
            response.headers["Content-Encoding"] = (fault and fault.text) or "gzip"
        if coded or "chunked" in self.faults:
            response.headers.pop("Content-Length", None)
        else:
            response.content_length = answer.end - answer.start
        if self._small():
            self.entry.sent_bytes = answer.end - answer.start
            self.entry.done = True
            return web.Response(
                status=answer.status, headers=answer.headers, body=answer.content.read(answer.start, answer.end)
            )
        if self.world.real_face:
            for name in list(response.headers):
                response.headers[name.lower()] = response.headers.pop(name)
        sock = own_socket(request)  # open still when the client has disconnected, which closes the transport
        before, head_bytes, complete = acknowledged_bytes(sock), 0, False
        try:
            if self._paced():
                send_buffer(sock, PACED_SEND_BUFFER_BYTES)
            writer = await response.prepare(request)
            if writer is None:
                return response
            head_bytes = writer.output_size
            if request.method == "HEAD" or await self._body(response, coded):
                await response.write_eof()
                # else what the client never takes would count as sent
                complete = self.entry.done = not self._paced() or await delivered(request)
        except ConnectionError:
            pass  # the client closed the connection; the log has the bytes it received
        finally:
            after = acknowledged_bytes(sock)
            if not complete and before is not None and after is not None:
                arrived = max(0, after - before - head_bytes)
                # an interrupted sendfile doesn't report the bytes sent
                self.entry.sent_bytes = arrived if self.file else min(self.entry.sent_bytes, arrived)
            for opened in (self.file, sock):
                if opened is not None:
                    opened.close()
        return response

    async def _body(self, response: web.StreamResponse, coded: bool) -> bool:
        """Sends the body; False when a fault ended it early."""
        answer, request = self.answer, self.request
        cut = self.faults.get("reset") or self.faults.get("fin")
        end = answer.end if cut is None else min(answer.end, answer.start + (cut.after or 0))
        stall = self.faults.get("stall")
        stall_at = answer.start + stall.after if stall and stall.after is not None else None
        by_file = isinstance(answer.content, PathContent) and not (
            coded or self.faults.keys() & {"chunked", "corrupt"} or request.secure
        )
        is_gzip = response.headers.get("Content-Encoding") != "deflate"
        coder = zlib.compressobj(wbits=31 if is_gzip else 15) if coded else None
        at = answer.start
        while at < end or at == stall_at:
            if at == stall_at and stall is not None:
                stall_at = None
                await _pause(stall.seconds)
                continue
            until = end if stall_at is None or stall_at < at else min(end, stall_at)
            step = min(until - at, self._step(8 * MIB if by_file else MIB // 4))
            await self._wait(step)
            if by_file:
                at += await self._sendfile(at, step)
            else:
                for piece in answer.content.pieces(at, at + step):
                    data = self._corrupted(piece, at)
                    at += len(piece)
                    self.entry.sent_bytes += len(piece)
                    await response.write(coder.compress(data) if coder else data)
        if coder is not None and cut is None:
            await response.write(coder.flush())
        if cut is None:
            return True
        if cut.kind == "reset":
            await reset(request)
        elif request.transport is not None:
            response.force_close()
            request.transport.close()
        return False

    async def _sendfile(self, at: int, size_bytes: int) -> int:
        transport, content = self.request.transport, self.answer.content
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        assert isinstance(content, PathContent)
        if self.file is None:
            self.file = content.path.open("rb")
        sent = await asyncio.get_running_loop().sendfile(transport, self.file, at, size_bytes)
        if not sent:
            raise EOFError(f"{content.path} has become shorter than {at} bytes")
        self.entry.sent_bytes += sent
        return sent

    def _corrupted(self, piece: bytes | memoryview, at: int) -> bytes | memoryview:
        fault = self.faults.get("corrupt")
        if fault is None:
            return piece
        first, last = max(fault.offset, at), min(fault.offset + fault.count, at + len(piece))
        if first >= last:
            return piece
        data = bytearray(piece)
        for index in range(first - at, last - at):
            data[index] ^= 0xFF
        return bytes(data)

    def _paces(self) -> Iterator[Pace]:
        self.connection.pace.bytes_per_s = self.world.per_connection_bytes_per_s
        yield from (self.own_pace, self.connection.pace, self.world.total)

    def _paced(self) -> bool:
        return any(pace.bytes_per_s > 0 for pace in self._paces())

    def _step(self, most: int) -> int:
        return min(pace.step(most) for pace in self._paces())

    async def _wait(self, size_bytes: int) -> None:
        await self.gate.wait()
        wait_s = max(pace.take(size_bytes) for pace in self._paces())
        if wait_s > 0.001:
            await asyncio.sleep(wait_s)
            await self.gate.wait()

    def _small(self) -> bool:
        return (
            not self.world.real_face
            and not self.faults.keys() & {"reset", "fin", "stall", "slow", "gzip", "chunked", "corrupt", "close"}
            and self.request.method != "HEAD"
            and self.answer.end - self.answer.start <= SMALL_BYTES
            and not self._paced()
            and not self._may_compress()
        )

    def _may_compress(self) -> bool:
        return (
            self.world.gzip_text
            and self.answer.compressible
            and self.answer.status == 200
            and self.request.method == "GET"
            and "gzip" in self.request.headers.get("Accept-Encoding", "")
        )


async def _pause(seconds: float) -> None:
    """Waits; if `seconds` is infinite, until the client disconnects or the server stops."""
    if seconds == float("inf"):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.Event().wait()
    else:
        await asyncio.sleep(seconds)
