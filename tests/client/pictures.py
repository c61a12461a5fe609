"""`python -m tests.client.pictures`: the README's pictures of the terminal, from a real daemon and a fake Hub."""

from __future__ import annotations

import asyncio
import io
import tempfile
from pathlib import Path

from rich.console import Console

from hfdmd_client.async_client import AsyncClient
from hfdmd_client.cli.bars import Bars, in_order
from hfdmd_client.cli.watch_app import WatchApp
from hfdmd_client.event_state import items_of
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
WIDTH = 96
LINE_BYTES_PER_S = 24_000_000
MODEL, QUANTISED = "Qwen/Qwen3-0.6B", "unsloth/Qwen3-0.6B-GGUF"


def fill(hub: HubServer) -> None:
    shards = {f"model-{number:05}-of-00006.safetensors": seeded(90_000_000, seed=number) for number in range(1, 7)}
    hub.add_repo(MODEL, {"config.json": b"{}", "tokenizer.json": seeded(11_000_000, seed=7), **shards})
    hub.add_repo(QUANTISED, {"Qwen3-0.6B-Q4_K_M.gguf": seeded(396_000_000, seed=8)})


async def watched(daemon: Daemon) -> str:
    """The screen of `hfdm watch`, as SVG."""
    app = WatchApp(AsyncClient(socket=str(daemon.socket)), {})
    async with app.run_test(size=(WIDTH, 18)) as pilot:
        await pilot.pause(1.0)
        await pilot.press("enter")
        await pilot.pause(0.5)
        return app.export_screenshot(title="hfdm watch")


async def downloaded(daemon: Daemon) -> str:
    """What `hfdm download` shows while it waits, as SVG."""
    async with AsyncClient(socket=str(daemon.socket)) as client:
        items = items_of(await client.downloads(MODEL))
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(f"$ hfdm download {MODEL}", style="bold")
    console.print(Bars([item for item in in_order(items) if item.status != "done"], 20))
    return console.export_svg(title="hfdm download")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with HubServer() as hub, tempfile.TemporaryDirectory() as folder:
        fill(hub)
        hub.rate_bytes_per_s = LINE_BYTES_PER_S
        with Daemon(Path(folder), hub.endpoint, HFDMD_MAX_ACTIVE_DOWNLOADS="1") as daemon:
            key = daemon.ask(MODEL)["id"]
            daemon.ask(QUANTISED)
            until(lambda: daemon.view(key)["progress"] > 30, "a third is there")
            for name, picture in (("download", downloaded(daemon)), ("watch", watched(daemon))):
                (FOLDER / f"{name}.svg").write_text(asyncio.run(picture), encoding="utf-8")


if __name__ == "__main__":
    main()
