"""The table of rooms in docs/how-it-works.md is the one that the architecture test enforces."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_architecture import FLOORS

DOCS = Path(__file__).parents[1] / "docs" / "how-it-works.md"


def test_the_docs_list_every_room_with_its_floor() -> None:
    rows = re.findall(r"^\| (\d+) \| `([\w/]+?)(?:\.py|/)` \|", DOCS.read_text(), re.MULTILINE)
    assert len(rows) == len(FLOORS)
    assert {room: int(floor) for floor, room in rows} == FLOORS
