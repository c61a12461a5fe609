"""Downloads as the daemon shows them, made by hand for what needs no daemon."""

from __future__ import annotations

from typing import Any

import msgspec

from hfdmd.wire.types import Download, RepoDownload, RepoType, Status
from hfdmd_client.sse import SseEvent


def download(**changes: Any) -> Download:
    plain = Download(
        id="d1",
        model_repo="owner/name",
        file_path="model.safetensors",
        revision="main",
        repo_type=RepoType.MODEL,
        local_dir=None,
        repo_ids=[],
        status=Status.DOWNLOADING,
        phase=None,
        progress=45.0,
        reason=None,
        detail=None,
        error=None,
        total_bytes=90_868_376,
        downloaded_bytes=40_890_769,
        reused_bytes=0,
        bytes_per_second=12_345_678,
        eta_seconds=4,
        priority=0,
        queue_position=None,
        attempt=1,
        retry_at=None,
        commit=None,
        digest=None,
        path=None,
        transport="http",
        created_at="2026-11-01T10:00:00Z",
        updated_at="2026-11-01T10:00:00Z",
        version=1,
    )
    return msgspec.structs.replace(plain, **changes)


def repo_download(**changes: Any) -> RepoDownload:
    plain = RepoDownload(
        id="r1",
        model_repo="owner/name",
        revision="main",
        repo_type=RepoType.MODEL,
        local_dir=None,
        include=[],
        exclude=[],
        status=Status.DOWNLOADING,
        phase=None,
        progress=45.0,
        reason=None,
        detail=None,
        error=None,
        files_total=3,
        files_done=1,
        files_failed=0,
        total_bytes=90_868_376,
        downloaded_bytes=40_890_769,
        reused_bytes=0,
        bytes_per_second=12_345_678,
        eta_seconds=4,
        priority=0,
        queue_position=None,
        commit=None,
        path=None,
        created_at="2026-11-01T10:00:00Z",
        updated_at="2026-11-01T10:00:00Z",
        version=1,
    )
    return msgspec.structs.replace(plain, **changes)


def event(name: str, data: Any, id: str = "x") -> SseEvent:
    return SseEvent(name, msgspec.json.encode(data).decode(), id)
