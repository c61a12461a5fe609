"""Status line and watchdog messages for the service manager."""

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
    """Sends the watchdog message from the event loop, so that a blocked loop sends none, and only while the store runs.

    Threads that wait for the disk are logged but do not stop it: slow storage must not get the daemon killed.
    """

    def __init__(self, notifier: Notifier, scheduler: Scheduler) -> None:
        self._notifier = notifier
        self._scheduler = scheduler
        self._sent_status = ""

    async def run(self) -> None:
        """Run until cancelled. Returns at once without a service manager."""
        interval_s = self._notifier.watchdog_interval_s
        if interval_s is None and not self._notifier.enabled:
            return
        wait_s = min(interval_s or STATUS_S, STATUS_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._scheduler.startup.loaded.wait()
        while True:
            blocked_s = self._scheduler.engine.unresponsive_s()
            if blocked_s > STATUS_S * 3:
                log.warning("the disk has not responded for %.0f s", blocked_s)
            if interval_s is not None and self._scheduler.store.is_alive:
                self._notifier.watchdog()
            status = self.status()
            if status != self._sent_status:
                self._sent_status = status
                self._notifier.status(status)
            await asyncio.sleep(wait_s)

    def status(self) -> str:
        """What the daemon is doing, as a line of text."""
        scheduler = self._scheduler
        if scheduler.loading:
            return "loading tracker files"
        counts = scheduler.index.counts
        if not counts[Status.DOWNLOADING]:
            waiting = counts[Status.QUEUED]
            return f"{waiting} downloads queued" if waiting else "idle"
        speed = scheduler.running.total_bytes_per_second / 1e6
        return f"{counts[Status.DOWNLOADING]} downloading at {speed:.1f} MB/s, {counts[Status.QUEUED]} queued"
