from __future__ import annotations

import pytest

from hfdmd.wire.types import Phase, Reason, RepoType, Status
from hfdmd_client.cli import render
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


def test_a_line_says_what_a_person_wants_to_know() -> None:
    assert render.line(download()) == (
        "owner/name model.safetensors: downloading, 45.0%, 40.9 MB of 90.9 MB, 12.3 MB/s, 4s left"
    )
    assert (
        render.line(download(phase=Phase.VERIFYING, bytes_per_second=None, eta_seconds=None))
        .split(": ")[1]
        .startswith("verifying")
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
