"""Every example of docs/client.md runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.client import walk
from tests.client.conftest import Hfdm
from tests.fakehub import HubServer

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


@pytest.mark.slow
def test_the_examples_run_as_they_stand(hub: HubServer, lone_hfdm: Hfdm) -> None:
    page = PAGE.read_text()
    walk.serve_what_is_named(hub, page)
    env = {**lone_hfdm.env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ""}
    shown = [step for block in walk.blocks(page, "console") for step in walk.steps(block)]
    assert len(shown) > 15
    with walk.Shell(env, str(lone_hfdm.home)) as shell:
        for step in shown:
            shell.run(step)
    programs = walk.blocks(page, "python")
    assert len(programs) >= 5
    for program in programs:
        walk.run_python(program, env, str(lone_hfdm.home))


def test_every_verb_option_and_error_of_the_page_exists() -> None:
    import hfdmd_client
    from hfdmd_client.cli.app import _VERBS

    page = PAGE.read_text()
    for verb in _VERBS:
        assert f"hfdm {verb}" in page or f"`{verb}" in page or verb in ("cancel", "retry"), verb
    for name in ("DaemonUnreachable", "DownloadFailed", "WaitTimeout", "UnsupportedByDaemon", "DaemonMismatch"):
        assert f"`{name}`" in page
        assert hasattr(hfdmd_client, name)
