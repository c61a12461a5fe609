from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scheduler.parts import Parts, parts


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Parts]:
    """A ledger and what it needs; its invariants are checked afterwards."""
    with parts(tmp_path) as made:
        yield made
