"""The supervisor: no task is lost, work of a client outlives the client, actions never overlap."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator

import pytest

from hfdmd.scheduler.supervisor import Supervisor
from hfdmd.wire.errors import Loading
from tests.scheduler.parts import until


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    work = asyncio.create_task(supervisor.run({}, lambda: None))
    await asyncio.sleep(0)
    yield supervisor
    supervisor.close()
    await work


async def test_work_outlives_its_caller(supervisor: Supervisor, caplog: pytest.LogCaptureFixture) -> None:
    go_on, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go_on.wait()
        done.set()

    caller = asyncio.create_task(supervisor.detached(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await done.wait()
    await asyncio.sleep(0)
    assert caplog.messages == []


async def test_a_failure_that_no_caller_sees_is_logged(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = asyncio.Event()

    async def work() -> None:
        await go_on.wait()
        raise ValueError("too late")

    caller = asyncio.create_task(supervisor.detached(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await until(lambda: caplog.messages)
    assert "too late" in caplog.text


async def test_a_caller_that_stays_gets_result_or_failure(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(fails: bool) -> int:
        await asyncio.sleep(0)
        if fails:
            raise ValueError("seen")
        return 7

    assert await supervisor.detached(work(fails=False)) == 7
    with pytest.raises(ValueError, match="seen"):
        await supervisor.detached(work(fails=True))
    assert caplog.messages == []


async def test_exclusive_work_never_overlaps_even_when_its_callers_leave(supervisor: Supervisor) -> None:
    inside, order = 0, []

    async def work(number: int) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        for _ in range(3):
            await asyncio.sleep(0)
        order.append(number)
        inside -= 1

    callers = [asyncio.create_task(supervisor.exclusive(work(number))) for number in range(4)]
    await asyncio.sleep(0)
    callers[1].cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    await until(lambda: len(order) == 4)
    assert order == [0, 1, 2, 3]


async def test_after_the_end_nothing_is_taken_on() -> None:
    supervisor = Supervisor()
    work = asyncio.create_task(supervisor.run({}, lambda: None))
    await asyncio.sleep(0)
    supervisor.close()
    await work
    with pytest.raises(Loading):
        await supervisor.detached(asyncio.sleep(0))
    with pytest.raises(RuntimeError):
        supervisor.spawn(asyncio.sleep(0), "late")


async def test_closing_cancels_the_background_and_waits_for_the_rest() -> None:
    supervisor, ended, stopped, go_on = Supervisor(), [], asyncio.Event(), asyncio.Event()

    async def forever(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def finish(name: str) -> None:
        await go_on.wait()
        ended.append(name)

    work = asyncio.create_task(supervisor.run({"permanent": forever("permanent")}, stopped.set))
    await asyncio.sleep(0)
    supervisor.spawn(finish("spawned"), "spawned")
    supervisor.background(forever("background"), "background")
    caller = asyncio.create_task(supervisor.detached(finish("detached")))
    await asyncio.sleep(0)
    assert not supervisor.closing
    supervisor.close()
    assert supervisor.closing
    await stopped.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    assert sorted(ended) == ["background", "permanent"]
    assert not work.done()
    go_on.set()
    await asyncio.gather(work, caller)
    assert sorted(ended) == ["background", "detached", "permanent", "spawned"]


async def test_a_task_that_fails_is_logged_and_ends_alone(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise ValueError("broken")

    await supervisor.spawn(fail(), "the one")
    assert "'the one' ended unexpectedly" in caplog.text
    assert await supervisor.detached(asyncio.sleep(0, 5)) == 5


async def test_work_that_is_cancelled_before_its_first_step_is_closed(supervisor: Supervisor) -> None:
    work = asyncio.sleep(0)
    task = supervisor.spawn(work, "never begun")
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED


async def test_a_permanent_task_that_fails_ends_everything() -> None:
    async def fail() -> None:
        raise ValueError("broken")

    supervisor, ended = Supervisor(), []

    async def other() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(ExceptionGroup) as failed:
        await supervisor.run({"other": other(), "one": fail()}, lambda: None)
    assert failed.group_contains(ValueError, match="broken")
    assert ended == [True]


async def test_a_permanent_task_that_fails_leaves_no_caller_waiting() -> None:
    fails, supervisor = asyncio.Event(), Supervisor()

    async def permanent() -> None:
        await fails.wait()
        raise ValueError("broken")

    running = asyncio.create_task(supervisor.run({"permanent": permanent()}, lambda: None))
    await asyncio.sleep(0)
    caller = asyncio.create_task(supervisor.detached(asyncio.Event().wait()))
    await asyncio.sleep(0)
    fails.set()
    with pytest.raises(ExceptionGroup):
        await running
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await caller
