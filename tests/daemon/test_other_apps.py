"""Programs that use huggingface_hub fetch into the same cache at the same time."""

from __future__ import annotations

import subprocess
import sys

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded


def test_an_app_that_fetches_the_same_file_is_waited_for(hub: HubServer, daemon: Daemon) -> None:
    content = seeded(4_000_000, seed=3)
    hub.add_repo(REPO, {BIG: content})
    hub.rate_bytes_per_s = 2_000_000
    app = subprocess.Popen(
        [sys.executable, "-c", f"from huggingface_hub import hf_hub_download\nhf_hub_download({REPO!r}, {BIG!r})"],
        env={**daemon.env, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
        stderr=subprocess.DEVNULL,
    )
    until(lambda: bool(list(daemon.cache.glob("*/blobs/*.incomplete"))), "the app fetches")
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["reason"] == "locked", "the daemon waits for it")
    hub.rate_bytes_per_s = 0
    assert app.wait(30) == 0
    daemon.wait(key, "done")
    assert hub.sent_bytes(BIG) <= 4_000_000


def test_an_app_waits_for_the_daemon_and_then_finds_it(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(4_000_000, seed=4)})
    hub.rate_bytes_per_s = 2_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 0, "the daemon fetches")
    code = f"from huggingface_hub import hf_hub_download\nprint(hf_hub_download({REPO!r}, {BIG!r}))"
    env = {**daemon.env, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    apps = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(3)
    ]
    try:
        paths = {app.communicate(timeout=90)[0].decode().strip() for app in apps}
    finally:
        for app in apps:
            app.kill()
            app.communicate()
    assert paths == {daemon.wait(key, "done")["path"]}
    assert hub.sent_bytes(BIG) <= 4_000_000 * 1.05


def test_twenty_apps_and_the_daemon_want_one_file(hub: HubServer, daemon: Daemon) -> None:
    size = 4_000_000
    hub.add_repo(REPO, {BIG: seeded(size, seed=2)})
    hub.rate_bytes_per_s = 2_000_000
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from huggingface_hub import hf_hub_download\n"
        "with ThreadPoolExecutor(5) as apps:\n"
        f"    paths = set(apps.map(lambda _: hf_hub_download({REPO!r}, {BIG!r}), range(5)))\n"
        "print(*paths)\n"
    )
    env = {**daemon.env, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    key = daemon.download(REPO, BIG).json["id"]
    apps = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]
    try:
        paths = {app.communicate(timeout=90)[0].decode().strip() for app in apps}
    finally:
        for app in apps:
            app.kill()
            app.communicate()
    assert paths == {daemon.wait(key, "done")["path"]}
    assert hub.sent_bytes(BIG) <= size * 1.05
