"""Every task of the scheduler has one owner: started here, cancelled and awaited here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hfdmd.wire.errors import Loading

log = logging.getLogger("hfdmd.scheduler")

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Supervisor:
    """Runs tasks in one task group; an unexpected exception in one of them is logged and ends only that task."""

    _group: asyncio.TaskGroup | None = None
    _background: set[asyncio.Task[None]] = field(default_factory=set)
    _closing: asyncio.Event = field(default_factory=asyncio.Event)
    _actions_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, permanent: Mapping[str, Coroutine[Any, Any, None]], stop: Callable[[], None]) -> None:
        """Run `permanent` tasks, and whatever is started meanwhile, until `close`; then call `stop` and wait for all.

        An exception in a permanent task ends everything.
        """
        async with asyncio.TaskGroup() as group:
            self._group = group
            tasks = [group.create_task(work, name=name) for name, work in permanent.items()]
            await self._closing.wait()
            for task in (*tasks, *self._background):
                task.cancel()
            stop()
        self._group = None

    def close(self) -> None:
        self._closing.set()

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task that is awaited at the end. Raises RuntimeError when the supervisor does not run."""
        if self._group is None:
            work.close()
            raise RuntimeError("the scheduler does not run")
        task = self._group.create_task(_log_exceptions(work, name), name=name)
        task.add_done_callback(lambda _: work.close())  # it has not begun when the task was cancelled at once
        return task

    def background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Start a task that is cancelled as soon as the daemon stops."""
        task = self.spawn(work, name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def detached(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end even when the caller is cancelled: a client that disconnects interrupts nothing.

        Raises `Loading` (503) when the daemon is stopping, and what `work` raises.
        """
        if self._group is None:
            work.close()
            raise Loading("the daemon is stopping", retry_after_s=1)
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def owned() -> None:
            try:
                result = await work
            except asyncio.CancelledError:  # a permanent task failed: the caller must not wait for ever
                outcome.cancel()
                raise
            except Exception as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

        self._group.create_task(owned())
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            outcome.add_done_callback(_log_unseen_failure)
            raise

    async def exclusive(self, work: Coroutine[Any, Any, T]) -> T:
        """As `detached`, and never beside another exclusive piece of work: no action sees a half-done one."""
        return await self.detached(self._locked(work))

    async def _locked(self, work: Coroutine[Any, Any, T]) -> T:
        async with self._actions_lock:
            return await work


async def _log_exceptions(work: Coroutine[Any, Any, None], name: str) -> None:
    """Log unexpected exceptions of a task so that they do not cancel the task group."""
    try:
        await work
    except Exception:
        log.exception("internal error: the task %r ended unexpectedly", name)


def _log_unseen_failure(outcome: asyncio.Future[Any]) -> None:
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        log.warning("an action failed after its client had disconnected: %s", error)
