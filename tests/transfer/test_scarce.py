"""What is scarce for a moment, and not the disk's fault, does not end a download."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.wire.types import Reason
from tests.fakehub import HubServer
from tests.scarcity import no_descriptors
from tests.transfer.bench import MiB, desk, engine_for


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
