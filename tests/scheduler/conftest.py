from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.scheduler.parts import Parts, Wired, parts, wired_up


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Parts]:
    """A ledger and what it needs; its invariants are checked afterwards."""
    with parts(tmp_path) as made:
        yield made


@pytest.fixture
async def wired(made: Parts, tmp_path: Path) -> AsyncIterator[Wired]:
    """The parts of the scheduler around the ledger of `made`, with a scripted Hub and engine."""
    async with wired_up(made, tmp_path) as wired:
        yield wired
