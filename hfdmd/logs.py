"""Log output: the journal with fields, JSON lines, or plain text on stderr. Secrets are removed in all of them."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
from typing import Any, TextIO

from hfdmd.journal import journal_handler

MAX_BATCH_LINES = 256

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SECRETS = re.compile(
    r"hf_[A-Za-z0-9]{8,}"  # tokens of the Hub
    r"|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^/\s@]+:[^/\s@]+(?=@)"  # passwords in URLs
    r"|(?<=\?)[^\s\"']*(?:[Ss]ignature|Policy|Expires|X-Amz)[^\s\"']*"  # the query of a signed URL
)


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


class _BatchingHandler(logging.StreamHandler[TextIO]):
    """Writes all lines of one iteration of the event loop at once, since thousands of small files may end together.

    They are written before the answers and events of that iteration are sent. A warning or an error is written at once,
    together with the lines before it.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record) + self.terminator)
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
            if lines:
                self.stream.write("".join(lines))
            super().flush()
        finally:
            self.release()


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
        handler = _BatchingHandler(sys.stderr)
        _skip_unused_fields()
        text = _TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        handler.setFormatter(_JsonFormatter() if kind == "json" else text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    set_level(level)


def _skip_unused_fields() -> None:
    """Do not look up the source line, thread and process of log records, which no format shows.

    Source: the section "Optimization" of Python's logging HOWTO.
    """
    logging._srcfile = None
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
        setattr(logging, name, False)


def set_level(level: str) -> None:
    logging.getLogger("hfdmd").setLevel(_LEVELS[level])
