"""Log output: the journal with fields, JSON lines, or plain text on stderr. Secrets are removed in all of them.

The fields come from the logger: `log.info("done", extra={"fields": {"event": "done", "repo": "owner/name"}})`. In
systemd's journal `journalctl HFDMD_REPO=owner/name` finds them. They are sent by systemd-python when installed, else by
the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import fcntl
import importlib
import json
import logging
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

JOURNAL_SOCKET: Final = Path("/run/systemd/journal/socket")
MAX_BATCH_LINES = 256

_STDERR: Final = 2

_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_TOO_LARGE: Final = (errno.EMSGSIZE, errno.ENOBUFS)
_NAME_LIMIT: Final = 64  # longer field names are dropped by journald
_SECRETS = re.compile(
    r"hf_[A-Za-z0-9]{8,}"  # tokens of the Hub
    r"|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^/\s@]+:[^/\s@]+(?=@)"  # passwords in URLs
    r"|(?<=\?)[^\s\"']*(?:[Ss]ignature|Policy|Expires|X-Amz)[^\s\"']*"  # the query of a signed URL
)

Fields = list[tuple[str, str]]
Send = Callable[[Fields], None]


def without_secrets(text: str) -> str:
    """`text` with tokens, passwords and the queries of signed URLs replaced: the last line of defence."""
    return _SECRETS.sub("[hidden]", text)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in getattr(record, "fields", {}).items():
            fields[name.removeprefix("HFDMD_").lower()] = value
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return without_secrets(json.dumps(fields, ensure_ascii=False))


class _BatchingHandler(logging.Handler):
    """Writes all lines of one iteration of the event loop at once, since thousands of small files may end together.

    They are written before the answers and events of that iteration are sent. A warning or an error is written at once,
    together with the lines before it. Lines that the disk does not take are counted, and lost: the daemon goes on.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._lost_lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(f"{self.format(record)}\n")
            if len(self._lines) == 1 and record.levelno < logging.WARNING and (loop := _running_loop()) is not None:
                loop.call_soon(self.flush)
            elif len(self._lines) == 1 or record.levelno >= logging.WARNING or len(self._lines) >= MAX_BATCH_LINES:
                self.flush()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write the pending lines."""
        self.acquire()
        try:
            lines, self._lines = self._lines, []
            if not lines:
                return
            lost = f"({self._lost_lines} log lines before this one could not be written)\n" if self._lost_lines else ""
            try:
                _write(self._descriptor, lost + "".join(lines))
                self._lost_lines = 0
            except OSError:
                self._lost_lines += len(lines)
        finally:
            self.release()


def _write(descriptor: int, text: str) -> None:
    """Without a buffer, which would keep what a full disk refuses. Raises OSError."""
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _SecretsFilter(logging.Filter):
    """Removes secrets for a handler with a format of its own (the journal's)."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_secrets(record.getMessage()), ()
        return True


def set_up(kind: str, level: str) -> None:
    """Send all log lines to the journal if stderr is connected to it, else to stderr as `kind`: `text` or `json`."""
    handler = journal_handler() if kind != "json" else None
    if handler is not None:
        handler.addFilter(_SecretsFilter())
    else:
        handler = _BatchingHandler(_STDERR)
        # No format shows the source line, thread and process of a record, so they are not looked up.
        # Source: the section "Optimization" of Python's logging HOWTO.
        logging._srcfile = None
        for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
            setattr(logging, name, False)
        text = _TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        handler.setFormatter(_JsonFormatter() if kind == "json" else text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> None:
    logging.getLogger("hfdmd").setLevel(level.upper())


def journal_handler(env: Mapping[str, str] = os.environ) -> logging.Handler | None:
    """A handler for the journal, when stderr is connected to it (`$JOURNAL_STREAM`, systemd.exec(5)); else None."""
    try:
        stderr = os.fstat(2)
    except OSError:  # closed
        return None
    if env.get("JOURNAL_STREAM") != f"{stderr.st_dev}:{stderr.st_ino}":
        return None
    return JournalHandler()


class JournalHandler(logging.Handler):
    """Sends every record to the journal, or to stderr with its priority if the journal does not accept it."""

    def __init__(self, socket_path: Path = JOURNAL_SOCKET, send: Send | None = None) -> None:
        super().__init__()
        self._socket_path = socket_path
        self._connection: socket.socket | None = None
        self._send = send or (_systemd_python() if socket_path == JOURNAL_SOCKET else None) or self._by_protocol

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = list(_fields(record, self.format(record)))
            try:
                # libsystemd silently drops messages when journald's socket is missing.
                if not self._socket_path.exists():
                    raise FileNotFoundError(errno.ENOENT, "no journal", str(self._socket_path))
                self._send(fields)
            except OSError as error:
                _to_stderr(record, dict(fields)["MESSAGE"], error)
        except Exception:  # as logging.Handler.emit does for errors of formatting
            self.handleError(record)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        super().close()

    def _by_protocol(self, fields: Fields) -> None:
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        message = b"".join(encode_field(name, value) for name, value in fields)
        try:
            self._connection.sendto(message, str(self._socket_path))
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            _send_as_file(self._connection, str(self._socket_path), message)


def encode_field(name: str, value: str) -> bytes:
    """One field in the journal's native protocol."""
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"


def field_name(key: str) -> str:
    """The journal's name of a field: `repo` becomes `HFDMD_REPO`, `localDir` becomes `HFDMD_LOCAL_DIR`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)
    name = re.sub(r"[^A-Z0-9_]", "_", snake.upper())
    return (name if name.startswith("HFDMD_") else "HFDMD_" + name)[:_NAME_LIMIT]


def _fields(record: logging.LogRecord, message: str) -> Iterator[tuple[str, str]]:
    yield "MESSAGE", message
    yield "PRIORITY", str(_priority(record.levelno))
    yield "SYSLOG_IDENTIFIER", "hfdmd"
    yield "LOGGER", record.name
    yield "THREAD_NAME", str(record.threadName)
    yield "CODE_FILE", record.pathname
    yield "CODE_LINE", str(record.lineno)
    yield "CODE_FUNC", record.funcName
    if record.exc_text:
        yield "EXCEPTION_TEXT", record.exc_text
    own = record.__dict__.get("fields")
    if isinstance(own, Mapping):
        for key, value in own.items():
            if value is not None:
                yield field_name(str(key)), str(value)


def _priority(levelno: int) -> int:
    """The priority of syslog(3) for a logging level."""
    return next((priority for level, priority in _PRIORITIES if levelno >= level), 7)


def _to_stderr(record: logging.LogRecord, message: str, error: OSError) -> None:
    """systemd reads `<N>` at the start of each line as its priority (SyslogLevelPrefix=)."""
    prefix = f"<{_priority(record.levelno)}>"
    lines = [*message.splitlines(), f"(not in the journal with its fields: {error})"]
    with contextlib.suppress(OSError):
        _write(_STDERR, "".join(f"{prefix}{line}\n" for line in lines))


def _send_as_file(connection: socket.socket, address: str, message: bytes) -> None:
    """Send a sealed memory file, which the protocol requires for messages too large for a datagram."""
    fd = os.memfd_create("hfdmd-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(message)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]).tobytes())
        connection.sendmsg([], [rights], 0, address)
    finally:
        os.close(fd)


def _systemd_python() -> Send | None:
    """Sending by systemd-python; None if it is not installed."""
    try:
        journal: Any = importlib.import_module("systemd.journal")
    except ImportError:
        return None

    def send(fields: Fields) -> None:
        journal.sendv(*(name.encode() + b"=" + value.encode("utf-8", "backslashreplace") for name, value in fields))

    return send
