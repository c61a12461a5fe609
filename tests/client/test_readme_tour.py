"""The README's tour is executed, line by line, against a Hub of our own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.client import walk
from tests.client.conftest import Hfdm
from tests.fakehub import HubServer

README = Path(__file__).parents[2] / "README.md"
HEADING = "## Five-minute tour"


def test_the_tour(hub: HubServer, lone_hfdm: Hfdm) -> None:
    tour = walk.section(README.read_text(), HEADING)
    shown = [step for block in walk.blocks(tour, "console") for step in walk.steps(block)]
    assert shown, f"{HEADING} shows no command"
    walk.serve_what_is_named(hub, tour)
    env = {**lone_hfdm.env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with walk.Shell(env, str(lone_hfdm.home)) as shell:
        for step in shown:
            shell.run(step)
    for program in walk.blocks(tour, "python"):
        walk.run_python(program, env, str(lone_hfdm.home))


def test_a_page_without_the_heading_is_told() -> None:
    page = (
        "# x\n\n## Five-minute tour\n\n```console\n$ true\n$ false  # exit 1\n```\n\n## Next\n\n```console\n$ no\n```\n"
    )
    assert [
        step.command for block in walk.blocks(walk.section(page, HEADING), "console") for step in walk.steps(block)
    ] == [
        "true",
        "false  # exit 1",
    ]
