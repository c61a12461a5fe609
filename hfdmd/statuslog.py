"""One log line a change of status: id, repo, file, bytes, reason. Never a token, a signed URL or a header."""

from __future__ import annotations

import logging

from hfdmd.record import FileRecord, Record
from hfdmd.wire.types import Status

log = logging.getLogger("hfdmd.status")


def log_change(record: Record, before: Status) -> None:
    """Say that `record`, which was `before`, has a new status. A change of phase alone is said at debug level."""
    status = record.state
    name = (
        f"{record.spec.model_repo}/{record.spec.file_path}"
        if isinstance(record, FileRecord)
        else record.spec.model_repo
    )
    level = logging.DEBUG if status is before else logging.INFO
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
    }
    because = f" ({record.reason})" if record.reason else ""
    said = f": {record.detail}" if record.detail else ""
    log.log(
        level,
        "%s %s -> %s%s, %d bytes, id %s%s",
        name,
        before,
        status,
        because,
        record.downloaded_bytes,
        record.id,
        said,
        extra={"fields": fields},
    )
