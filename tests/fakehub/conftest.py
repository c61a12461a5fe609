"""Fixtures of the test Hub's own tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakehub import HubServer


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A running, empty Hub."""
    with HubServer() as server:
        yield server
