"""`hfdm watch` driven by Textual's pilot, with a real daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input, Static

from hfdmd_client.async_client import AsyncClient
from hfdmd_client.cli.watch_app import DownloadTree, Question, WatchApp
from tests.client.conftest import BIG, REPO
from tests.daemon_process import DEADLINE_S, Daemon
from tests.fakehub import HubServer, seeded


@asynccontextmanager
async def watching(daemon: Daemon, width: int = 100, **watched: Any) -> AsyncIterator[tuple[WatchApp, Pilot[int]]]:
    client = AsyncClient(socket=str(daemon.socket))
    app = WatchApp(client, watched)
    async with app.run_test(size=(width, 30)) as pilot:
        yield app, pilot


async def until(pilot: Pilot[int], condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await pilot.pause(0.05)
    assert condition(), what


def text_of(app: WatchApp) -> str:
    """The screen as text."""
    tree = app.query_one(DownloadTree)
    rows = [tree.render_line(y).text.rstrip() for y in range(tree.size.height)]
    return "\n".join([str(app.query_one("#head", Static).content), *rows, str(app.query_one("#why", Static).content)])


async def test_a_repo_and_its_files(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    daemon.download(REPO)
    async with watching(daemon) as (app, pilot):
        await until(pilot, lambda: f"▶ {REPO}" in text_of(app), "the repo is shown")
        assert BIG not in text_of(app)
        await pilot.press("enter")
        await until(pilot, lambda: BIG in text_of(app) and f"▼ {REPO}" in text_of(app), "it is opened")
        await pilot.press("enter")
        await until(pilot, lambda: BIG not in text_of(app), "it is closed")
        await pilot.press("q")
    assert app.return_value == 0


async def test_a_repo_that_goes_takes_its_files_along(daemon: Daemon) -> None:
    daemon.wait(daemon.ask(REPO)["id"], "done")
    async with watching(daemon) as (app, pilot):
        await until(pilot, lambda: f"▶ {REPO}" in text_of(app), "the repo is shown")
        await pilot.press("enter")
        await until(pilot, lambda: BIG in text_of(app), "so are its files")
        await pilot.press("slash", *"other", "enter")
        await until(pilot, lambda: REPO not in text_of(app) and BIG not in text_of(app), "nothing matches the filter")
        await pilot.press("slash", *["backspace"] * len("other"), "enter")
        await until(pilot, lambda: REPO in text_of(app), "without it the repo is back")
        daemon.call("DELETE", "/api/download", {"modelRepo": REPO})
        await until(pilot, lambda: "Nothing to do" in text_of(app), "it was removed")


async def test_pause_resume_and_cancel_after_a_question(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    key = daemon.ask(REPO, BIG)["id"]
    async with watching(daemon) as (app, pilot):
        await until(pilot, lambda: app._selected() is not None, "it is shown")
        await pilot.press("space")
        await until(pilot, lambda: "paused" in text_of(app), "it is paused")
        assert daemon.view(key)["status"] == "paused"
        await pilot.press("space")
        await until(pilot, lambda: daemon.view(key)["status"] != "paused", "it is resumed")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, Question), "it asks")
        await pilot.press("n")
        await pilot.pause()
        assert daemon.view(key)["status"] != "cancelled"
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, Question), "it asks again")
        await pilot.press("y")
        await until(pilot, lambda: daemon.view(key)["status"] == "cancelled", "it is cancelled")


async def test_filter_limit_details_and_help(daemon: Daemon, hub: HubServer) -> None:
    hub.add_repo("owner/other", {"b.bin": seeded(300_000, seed=9)})
    for repo, path in ((REPO, "config.json"), ("owner/other", "b.bin")):
        daemon.wait(daemon.ask(repo, path)["id"], "done")
    async with watching(daemon) as (app, pilot):
        await until(pilot, lambda: "b.bin" in text_of(app) and "config.json" in text_of(app), "both are shown")
        await pilot.press("slash", *"other", "enter")
        await until(pilot, lambda: "config.json" not in text_of(app), "only what matches is shown")
        assert "b.bin" in text_of(app)
        await pilot.press("d")
        await until(pilot, lambda: len(app.screen_stack) == 2, "details are shown")
        details = str(app.screen.query_one(Static).content)
        assert daemon.view(daemon.ask("owner/other", "b.bin")["id"])["path"] in details
        await pilot.press("escape")
        await pilot.press("l", *"20MB/s", "enter")
        await until(pilot, lambda: daemon.get("/api/settings").json["bandwidthLimit"] == 20_000_000, "the limit is set")
        await pilot.press("l")
        app.query_one(Input).value = "fast"
        await pilot.press("enter", "question_mark")
        await until(pilot, lambda: bool(app.screen.query("HelpPanel")), "the help is shown")
    daemon.call("PATCH", "/api/settings", {"bandwidthLimit": None})


async def test_it_survives_a_restart_and_a_resize(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    daemon.ask(REPO, BIG)
    async with watching(daemon) as (app, pilot):
        await until(pilot, lambda: "MB/s" in text_of(app) or "kB/s" in text_of(app), "it downloads")
        daemon.kill()
        daemon.start()
        await pilot.resize_terminal(60, 20)
        hub.rate_bytes_per_s = 0
        await until(pilot, lambda: "100.0%" in text_of(app), "it is done after the restart")
        assert max(map(len, text_of(app).splitlines()[:-1])) <= 60


async def test_one_file_ends_the_view_with_its_outcome(daemon: Daemon) -> None:
    daemon.ask(REPO, BIG)
    async with watching(daemon, model_repo=REPO, file_path=BIG) as (app, pilot):
        await until(pilot, lambda: app.return_value is not None, "it ends")
    assert app.return_value == 0


async def test_two_files_trade_places(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 100_000
    names = [f"{number}.bin" for number in range(6)]
    hub.add_repo("owner/six", {name: seeded(900_000, seed=number) for number, name in enumerate(names)})
    keys = [daemon.ask("owner/six", name)["id"] for name in names]
    async with watching(daemon) as (app, pilot):
        await until(pilot, lambda: "queued #2" in text_of(app), "two wait")
        await until(pilot, lambda: daemon.view(keys[5])["queuePosition"] == 2, "the last one is second")
        for _ in range(8):
            if (chosen := app._selected()) is not None and chosen.id == keys[5]:
                break
            await pilot.press("down")
        await pilot.press("plus")
        await until(pilot, lambda: daemon.view(keys[5])["queuePosition"] == 1, "it is first now")
