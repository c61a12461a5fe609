from __future__ import annotations

import io

import pytest
from rich.console import Console

from hfdmd.wire.types import Download, Phase, Reason, RepoDownload, RepoType, Status
from hfdmd_client.cli import render
from hfdmd_client.cli.bars import Bars
from hfdmd_client.cli.waiting import Lines
from tests.client.samples import download, repo_download


def test_nothing_a_terminal_obeys_gets_through() -> None:
    hostile = "a\x1b[2Jb\rc\nd\x9b31me\u202ef\u2028g\x07"
    assert render.clean(hostile) == "a�[2Jb�c�d�31me�f�g�"
    assert render.clean("modèle-Ü-模型.bin") == "modèle-Ü-模型.bin"


@pytest.mark.parametrize("width", [0, 1, 2, 3, 10, 17, 18, 30])
def test_squeezed_text_fits_and_keeps_both_ends(width: int) -> None:
    name = "model-00001-of-03"
    squeezed = render.squeeze(name, width)
    assert len(squeezed) <= width
    if width >= len(name):
        assert squeezed == name
    elif width >= 10:
        assert squeezed[0] == name[0]
        assert squeezed.endswith("of-03")


OUTAGE = {"reason": Reason.NETWORK, "detail": "hub.example cannot be reached: no route to host."}


@pytest.mark.parametrize(
    "item", [download(**OUTAGE), repo_download(**OUTAGE), download(status=Status.QUEUED, **OUTAGE)]
)
def test_what_waits_shows_why_and_neither_speed_nor_time(item: Download | RepoDownload) -> None:
    assert (render.speed(item), render.eta(item)) == ("", "")
    assert render.state(item) == f"{item.status.value}: network"
    assert "hub.example cannot be reached" in render.line(item)
    assert "MB/s" not in render.line(item)


@pytest.mark.parametrize("width", [40, 60, 80, 140])
@pytest.mark.parametrize("status", [Status.DOWNLOADING, Status.QUEUED])
def test_a_row_that_waits_says_why_at_every_width(width: int, status: Status) -> None:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    moving = download(id="d2", file_path="other.safetensors")
    console.print(Bars([download(status=status, **OUTAGE), moving], 10))
    waits, moves = console.file.getvalue().splitlines()
    assert "45.0% net" in waits
    assert len(waits) <= width
    assert "MB/s" not in waits
    assert "MB/s" in moves
    assert waits.index("45.0%") == moves.index("45.0%"), "columns stay in place, also without colours"


def test_without_a_terminal_an_outage_is_one_line_and_then_one_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("hfdmd_client.cli.waiting.time.monotonic", lambda: now)
    stream = io.StringIO()
    lines = Lines(stream)
    tries = [download(status=Status.QUEUED, **OUTAGE), download(phase=Phase.RESOLVING), download(**OUTAGE)]
    lines.show(download())
    for second in range(35):
        now = 100.0 + second
        for item in tries:
            lines.show(item)
    assert len(stream.getvalue().splitlines()) == 1 + 4
    lines.show(download(downloaded_bytes=40_900_000))
    assert stream.getvalue().splitlines()[-1].endswith("left"), "the first byte ends it"
    lines.show(download(status=Status.PAUSED, reason=Reason.REQUESTED))
    assert "paused" in stream.getvalue().splitlines()[-1]


def test_joiners_in_names_stay_and_changes_of_direction_do_not() -> None:
    for name in ("می\u200cخواهم.txt", "👩\u200d💻.md", "soft\u00adhyphen"):
        assert render.clean(name) == name
    assert render.clean("a\u202eb\u2066c\ufeff") == "a�b�c�"


def test_a_line_says_what_a_person_wants_to_know() -> None:
    assert render.line(download()) == (
        "owner/name model.safetensors: downloading, 45.0%, 40.9 MB of 90.9 MB, 12.3 MB/s, 4s left"
    )
    assert (
        render.line(download(phase=Phase.VERIFYING, bytes_per_second=None, eta_seconds=None))
        .split(": ")[1]
        .startswith("verifying")
    )
    assert render.line(download(reused_bytes=40_000_000)) == (
        "owner/name model.safetensors: downloading, 45.0%, 40.9 MB of 90.9 MB, 40.0 MB of 90.9 MB were here already,"
        " 12.3 MB/s, 4s left"
    )
    waiting = download(status=Status.QUEUED, reason=Reason.NETWORK, detail="No network.", bytes_per_second=None)
    assert render.line(waiting) == "owner/name model.safetensors: queued: network, No network."
    assert render.line(repo_download(files_total=None, total_bytes=None, downloaded_bytes=0)).startswith(
        "owner/name (files not listed yet): downloading"
    )
    assert (
        render.title(download(repo_type=RepoType.DATASET, revision="dev"))
        == "datasets/owner/name@dev model.safetensors"
    )
