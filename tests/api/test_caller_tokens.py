"""A caller's Hub token: used for what it asks, and nowhere to be found afterwards (docs/api.md, section 6)."""

from __future__ import annotations

import itertools
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.sse import Stream
from tests.daemon_process import Answer, Daemon, request, until
from tests.fakehub import HubServer, seeded

TOKEN = "secret-of-the-caller-0123456789"
"""Without the prefix of the Hub's tokens, which the log would hide anyway."""
OTHER = "secret-of-another-0123456789"
HEADER = "X-HF-Token"


@pytest.fixture
def closed(hub: HubServer) -> HubServer:
    """A gated repo that only `TOKEN` opens."""
    files = {"config.json": b"{}", "big.bin": seeded(3_000_000, seed=3)}
    hub.add_repo("own/gated", files, gated=True)
    hub.add_repo("own/private", files, private=True)
    hub.add_token(TOKEN)
    hub.add_token(OTHER, opens=())
    return hub


def ask(daemon: Daemon, repo: str, file: str | None, token: str | None, **more: Any) -> Answer:
    headers = {} if token is None else {HEADER: token}
    return daemon.call("POST", "/api/download", request(repo, file, retry=True, **more), headers=headers)


@pytest.mark.parametrize(("repo", "file"), [("own/gated", "config.json"), ("own/gated", None), ("own/private", None)])
def test_it_opens_what_the_daemon_itself_may_not_have(
    daemon: Daemon, closed: HubServer, repo: str, file: str | None
) -> None:
    refused = daemon.wait(ask(daemon, repo, file, None).json["id"], "failed")
    assert refused["reason"] in ("gated", "repo_not_found")
    daemon.wait(ask(daemon, repo, file, OTHER).json["id"], "failed")
    done = daemon.wait(ask(daemon, repo, file, TOKEN).json["id"], "done")
    assert done["error"] is None
    assert {one.authorization for one in closed.log if f"/{repo}" in one.path} == {False, True}


def test_listing_and_planning_in_the_name_of_the_caller(daemon: Daemon, closed: HubServer) -> None:
    target = "/api/files?modelRepo=own/private"
    assert daemon.get(target).status == 404
    assert daemon.call("GET", target, headers={HEADER: TOKEN}).json["files"]
    assert daemon.get(target).status == 404, "it was for that request only"
    for file in ("config.json", None):
        planned = [daemon.call("POST", "/api/plan", request("own/private", file), headers=headers)
                   for headers in ({}, {HEADER: TOKEN})]  # fmt: skip
        assert [answer.status for answer in planned] == [404, 200]


def test_it_is_used_for_nothing_else(daemon: Daemon, closed: HubServer) -> None:
    daemon.wait(ask(daemon, "own/gated", "big.bin", TOKEN).json["id"], "done")
    before = len(closed.log)
    daemon.wait(ask(daemon, "own/small", "b.txt", None).json["id"], "done")
    daemon.wait(ask(daemon, "own/gated", "config.json", None).json["id"], "failed")
    assert len(closed.log) > before + 1
    assert not any(one.authorization for one in closed.log[before:])


def test_a_second_caller_with_less_access_does_not_stop_the_first(daemon: Daemon, closed: HubServer) -> None:
    daemon.call("PATCH", "/api/settings", {"bandwidthLimit": 200_000})
    key = ask(daemon, "own/gated", "big.bin", TOKEN).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"], "it is under way")
    ask(daemon, "own/gated", "big.bin", OTHER)
    daemon.post("/api/pause", id=key)
    daemon.post("/api/resume", id=key)
    daemon.call("PATCH", "/api/settings", {"bandwidthLimit": None})
    assert daemon.wait(key, "done", "failed")["status"] == "done"


@pytest.mark.parametrize("file", ["big.bin", None])
def test_a_restart_forgets_it_and_asking_again_brings_it_again(
    daemon: Daemon, closed: HubServer, file: str | None
) -> None:
    daemon.call("PATCH", "/api/settings", {"bandwidthLimit": 1_000_000})
    key = ask(daemon, "own/gated", file, TOKEN).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 500_000, "some of it is there")
    daemon.stop()
    daemon.start()
    failed = daemon.wait(key, "failed")
    assert failed["reason"] == "gated"
    assert failed["downloadedBytes"] > 0, "what has come stays"
    daemon.call("PATCH", "/api/settings", {"bandwidthLimit": None})
    ask(daemon, "own/gated", file, TOKEN)
    assert daemon.wait(key, "done", "failed")["status"] == "done"


@pytest.mark.parametrize("token", ["two words", "naïve", "x" * 5000, "a\tb"])
def test_what_is_no_token_is_refused_without_repeating_it(daemon: Daemon, token: str) -> None:
    for method, target, body in (
        ("POST", "/api/download", request("own/small", "b.txt")),
        ("GET", "/api/files?modelRepo=own/small", None),
    ):
        headers = {HEADER: token.encode("latin-1").decode("latin-1")}
        answer = daemon.call(method, target, body, headers=headers)
        assert answer.code in ("invalid_field", "malformed")
        assert token.encode("latin-1") not in answer.body


def test_info_says_whether_the_daemon_has_one_itself(make_daemon: Callable[..., Daemon], closed: HubServer) -> None:
    daemon = make_daemon().start()
    assert daemon.get("/api/info").json["hasHubToken"] is False
    (daemon.home / "hf" / "token").write_text(TOKEN)
    assert daemon.get("/api/info").json["hasHubToken"] is True
    assert make_daemon(HF_TOKEN=TOKEN).start().get("/api/info").json["hasHubToken"] is True


def places(daemon: Daemon) -> dict[str, bytes]:
    """Everything of the daemon that can be read from outside."""
    found = {
        str(path): path.read_bytes() for path in daemon.home.rglob("*") if path.is_file() and not path.is_symlink()
    }
    found |= {f"name of {path}": bytes(path) for path in daemon.home.rglob("*")}
    for name in ("cmdline", "environ", "comm", "maps"):
        found[f"/proc/{name}"] = Path(f"/proc/{daemon.pid}/{name}").read_bytes()
    for target in ("progress", "settings", "info", "health", "checks?offline=true", "openapi.json"):
        found[f"GET {target}"] = daemon.get(f"/api/{target}").body
    found["metrics"] = daemon.get("/metrics").body
    return found


@pytest.fixture
def no_core_file() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.mark.usefixtures("no_core_file")
def test_it_is_found_nowhere(make_daemon: Callable[..., Daemon], closed: HubServer) -> None:
    """Not in a file, name, log line (at its most talkative), tracker, argument, variable, answer, event or error."""
    daemon = make_daemon(HFDMD_LOG_LEVEL="debug").start()
    repos, files = ("own/gated", "own/private", "own/none", "own/small"), ("config.json", "nothing.bin", None)
    asked = itertools.product(repos, files, (TOKEN, OTHER, f"unknown-{TOKEN}"))
    answers = [ask(daemon, repo, file, token) for repo, file, token in asked]
    answers.append(daemon.call("GET", "/api/files?modelRepo=own/gated", headers={HEADER: TOKEN}))
    answers.append(daemon.call("GET", "/api/files?modelRepo=own/none", headers={HEADER: TOKEN}))
    answers.append(daemon.call("POST", "/api/download", b"{", headers={HEADER: TOKEN}))
    answers.append(daemon.call("GET", "/api/nothing", headers={HEADER: TOKEN}))
    ids = {answer.json["id"] for answer in answers if "id" in answer.json}
    for key in ids:
        daemon.wait(key, "done", "failed")
    found = places(daemon) | {f"answer {number}": answer.body for number, answer in enumerate(answers)}
    with Stream(daemon, {"history": "true"}) as stream:
        found["events"] = repr(list(itertools.takewhile(lambda event: event.name != "ready", stream))).encode()
    os.kill(daemon.pid, signal.SIGABRT)  # a crash lists the stacks of all threads
    until(lambda: "Fatal Python error: Aborted" in daemon.log, "the listing is written")
    found |= {f"after: {path}": path.read_bytes() for path in daemon.home.rglob("*") if path.is_file()}
    assert len(found) > 40
    assert [place for place, content in found.items() if b"secret-of-" in content] == []
    assert b'"path":"/' in found["events"].replace(b"'", b'"').replace(b": ", b":"), "it was used"
