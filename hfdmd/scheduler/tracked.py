"""What a tracker says of a record: never more than what is synced (docs/api.md, section 3). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from hfdmd import lifecycle
from hfdmd.record import FileRecord, Record
from hfdmd.wire.types import Status


def synced_counters(record: FileRecord) -> dict[str, Any]:
    """The counters of a download as far as its bytes are synced."""
    synced_bytes = record.synced_bytes
    return {"downloaded_bytes": synced_bytes, "reused_bytes": min(record.reused_bytes, synced_bytes)}


def tracked(record: Record, running: Iterable[FileRecord]) -> Record:
    """The record as its tracker shows it. `running`: those files of a repo download that are being downloaded."""
    if isinstance(record, FileRecord):
        if record.state is not Status.DOWNLOADING:
            return record
        kept: Record = replace(record, **synced_counters(record))
    else:
        unsynced_bytes = sum(file.downloaded_bytes - file.synced_bytes for file in running)
        if not unsynced_bytes:
            return record
        kept = replace(record, downloaded_bytes=max(0, record.downloaded_bytes - unsynced_bytes))
    lifecycle.settle(kept)
    return kept
