"""One log line a change of status: id, repo, file, bytes, seconds, reason. Never a token, a signed URL or a header."""

from __future__ import annotations

import logging
import time

from hfdmd.record import FileRecord, Record
from hfdmd.wire.types import Status

log = logging.getLogger("hfdmd.status")


_LIVE = (Status.QUEUED, Status.DOWNLOADING, Status.PAUSED)


class StatusLog:
    """Tells each change, and how long what is live had its status before; of older changes nothing is kept."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def tell(self, record: Record, before: Status, *, is_brief: bool = False) -> None:
        """Say that `record`, which was `before`, has a new status.

        Said at debug level: a change of phase alone, and what the repo's own line says for all (`is_brief`): that one
        of its thousands of small files begins and is done, and that one which has not begun is held or let go. The
        journal drops what comes faster than 10,000 lines in 30 s, the line of a failure too.
        """
        is_same = record.state is before
        _tell(record, before, None if is_same else self._took_s(record), is_minor=is_same or is_brief)

    def forget(self, key: str) -> None:
        self._since.pop(key, None)

    def _took_s(self, record: Record) -> float | None:
        """Seconds that it had the status before; None when that began before the daemon did."""
        now = time.monotonic()
        since = self._since.pop(record.id, None)
        if record.state in _LIVE:
            self._since[record.id] = now
        return None if since is None else now - since


def _tell(record: Record, before: Status, took_s: float | None, *, is_minor: bool) -> None:
    status = record.state
    name = (
        f"{record.spec.model_repo}/{record.spec.file_path}"
        if isinstance(record, FileRecord)
        else record.spec.model_repo
    )
    level = logging.DEBUG if is_minor else logging.INFO
    if status is Status.FAILED:
        level = logging.ERROR
    elif status is Status.QUEUED and record.reason is not None:
        level = logging.WARNING
    if not log.isEnabledFor(level):
        return
    fields = {
        "HFDMD_EVENT": "status",
        "HFDMD_ID": record.id,
        "HFDMD_REPO": record.spec.model_repo,
        "HFDMD_FILE": record.spec.file_path if isinstance(record, FileRecord) else "",
        "HFDMD_REVISION": record.spec.revision,
        "HFDMD_STATUS": str(status),
        "HFDMD_PHASE": str(record.phase or ""),
        "HFDMD_REASON": str(record.reason or ""),
        "HFDMD_BYTES": str(record.downloaded_bytes),
        "HFDMD_SECONDS": "" if took_s is None else f"{took_s:.3f}",
    }
    because = f" ({record.reason})" if record.reason else ""
    said = f": {record.detail}" if record.detail else ""
    log.log(
        level,
        "%s %s -> %s%s, %d bytes%s, id %s%s",
        name,
        before,
        status,
        because,
        record.downloaded_bytes,
        "" if took_s is None else f" after {took_s:.3f} s",
        record.id,
        said,
        extra={"fields": fields},
    )
