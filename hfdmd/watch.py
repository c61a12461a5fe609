"""What the service manager is told: a word about what is going on, and a heartbeat that means something."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from hfdmd.notify import Notifier
from hfdmd.scheduler.core import Scheduler
from hfdmd.wire.types import Status

log = logging.getLogger("hfdmd.watch")

STATUS_S = 10.0


class Watch:
    """The heartbeat comes from the loop itself, so a loop that hangs sends none; nor does a daemon without its store.

    A thread that the disk holds up is told in the log, but is no hang: slow storage must not get the daemon killed.
    """

    def __init__(self, notifier: Notifier, scheduler: Scheduler) -> None:
        self._notifier = notifier
        self._scheduler = scheduler
        self._told = ""

    async def run(self) -> None:
        """Until cancelled. Without a service manager it does not even wake up."""
        interval_s = self._notifier.watchdog_interval_s
        if interval_s is None and not self._notifier.enabled:
            return
        wait_s = min(interval_s or STATUS_S, STATUS_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._scheduler.loaded.wait()
        while True:
            held_up_s = self._scheduler.engine.unresponsive_s()
            if held_up_s > STATUS_S * 3:
                log.warning("the disk has not answered for %.0f s", held_up_s)
            if interval_s is not None and self._scheduler.store.is_alive:
                self._notifier.watchdog()
            status = self.status()
            if status != self._told:
                self._told = status
                self._notifier.status(status)
            await asyncio.sleep(wait_s)

    def status(self) -> str:
        """What the daemon is doing, in words."""
        scheduler = self._scheduler
        if scheduler.loading:
            return "loading tracker files"
        counts = scheduler.index.counts
        if not counts[Status.DOWNLOADING]:
            waiting = counts[Status.QUEUED]
            return f"{waiting} downloads wait" if waiting else "idle"
        speed = scheduler.bytes_per_second / 1e6
        return f"{counts[Status.DOWNLOADING]} downloading at {speed:.1f} MB/s, {counts[Status.QUEUED]} queued"
