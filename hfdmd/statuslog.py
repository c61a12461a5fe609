"""One log line per change of status: id, repo, file, bytes, seconds, reason. No token, signed URL or header."""

from __future__ import annotations

import logging
import time

from hfdmd.record import FileRecord, Record
from hfdmd.wire.types import Status

log = logging.getLogger("hfdmd.status")

_LIVE = (Status.QUEUED, Status.DOWNLOADING, Status.PAUSED)


class StatusLog:
    """Logs each change, and for live downloads how long the previous status lasted."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def log_change(self, record: Record, before: Status, *, is_brief: bool = False) -> None:
        """Log that the status of `record` was `before` and is now another.

        At debug level: a change of phase only, and changes that the line of the repo download covers (`is_brief`), like
        start and end of its thousands of small files. The journal drops lines above 10,000 in 30 s, failures included.
        """
        status = record.state
        took_s = None if status is before else self._took_s(record)
        repo, file = record.spec.model_repo, record.spec.file_path if isinstance(record, FileRecord) else ""
        level = logging.DEBUG if status is before or is_brief else logging.INFO
        if status is Status.FAILED:
            level = logging.ERROR
        elif status is Status.QUEUED and record.reason is not None:
            level = logging.WARNING
        if not log.isEnabledFor(level):
            return
        fields = {
            "HFDMD_EVENT": "status",
            "HFDMD_ID": record.id,
            "HFDMD_REPO": repo,
            "HFDMD_FILE": file,
            "HFDMD_REVISION": record.spec.revision,
            "HFDMD_STATUS": str(status),
            "HFDMD_PHASE": str(record.phase or ""),
            "HFDMD_REASON": str(record.reason or ""),
            "HFDMD_BYTES": str(record.downloaded_bytes),
            "HFDMD_SECONDS": "" if took_s is None else f"{took_s:.3f}",
        }
        because = f" ({record.reason})" if record.reason else ""
        detail = f": {record.detail}" if record.detail else ""
        log.log(
            level,
            "%s %s -> %s%s, %d bytes%s, id %s%s",
            f"{repo}/{file}" if file else repo,
            before,
            status,
            because,
            record.downloaded_bytes,
            "" if took_s is None else f" after {took_s:.3f} s",
            record.id,
            detail,
            extra={"fields": fields},
        )

    def forget(self, key: str) -> None:
        self._since.pop(key, None)

    def _took_s(self, record: Record) -> float | None:
        """Seconds that the previous status lasted; None when it began before the daemon started."""
        now = time.monotonic()
        since = self._since.pop(record.id, None)
        if record.state in _LIVE:
            self._since[record.id] = now
        return None if since is None else now - since
