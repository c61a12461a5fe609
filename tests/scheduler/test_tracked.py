from __future__ import annotations

from hfdmd.lifecycle import settle
from hfdmd.record import RepoRecord
from hfdmd.scheduler.tracked import tracked
from hfdmd.wire.types import Status
from tests.scheduler.parts import file_of, repo_of, source_of


def test_a_running_download_counts_what_is_synced() -> None:
    record = file_of(
        "a", Status.DOWNLOADING, source=source_of(), downloaded_bytes=70, reused_bytes=60, synced=[(0, 40)]
    )
    kept = tracked(record, ())
    assert (kept.downloaded_bytes, kept.progress) == (40, 40.0)
    assert record.downloaded_bytes == 70
    paused = file_of("a", Status.PAUSED, source=source_of(), downloaded_bytes=40, synced=[(0, 40)])
    assert tracked(paused, ()) is paused


def test_a_repo_download_counts_what_is_synced_of_its_running_files() -> None:
    repo = repo_of(listed=True, files_total=3, total_bytes=300, downloaded_bytes=230)
    settle(repo)
    running = [
        file_of("a", Status.DOWNLOADING, source=source_of(), downloaded_bytes=90, synced=[(0, 40)]),
        file_of("b", Status.DOWNLOADING, source=source_of(), downloaded_bytes=40, synced=[(10, 50)]),
    ]
    kept = tracked(repo, running)
    assert isinstance(kept, RepoRecord)
    assert (kept.downloaded_bytes, repo.downloaded_bytes) == (180, 230)
    assert tracked(repo, running[1:]) is repo
