"""What is scarce for a moment, and not the disk's fault, does not end a download."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.wire.types import Reason
from tests.hub import HubServer
from tests.transfer.bench import MiB, desk, engine_for


@contextmanager
def no_descriptors() -> Iterator[None]:
    """This process can open nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 400), hard))
    try:
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_no_descriptor_for_a_moment_is_waited_for(hub: HubServer, tmp_path: Path) -> None:
    at = desk(hub, tmp_path, 3 * MiB)
    async with engine_for(hub) as engine:
        with no_descriptors(), pytest.raises(Failure) as failed:
            await engine.fetch(at.job())
        assert failed.value.reason is Reason.LOCKED
        assert not failed.value.is_final
        assert "Too many open files" in failed.value.detail
        await engine.fetch(at.job())
    assert at.is_right()
