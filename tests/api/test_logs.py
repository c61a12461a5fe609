"""The log: one line per change of status with its fields, as text or JSON, without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.api.sse import Stream
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer

TOKEN = "hf_" + "aBcD1234" * 4


def lines(daemon: Daemon) -> list[dict[str, Any]]:
    return [json.loads(line) for line in daemon.log.splitlines()]


def test_each_change_of_status_is_one_line_with_its_fields(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(HFDMD_LOG="json").start()
    done = daemon.wait(daemon.ask("own/small", "sub/a.bin")["id"], "done")
    failed = daemon.wait(daemon.ask("own/small", "nothing")["id"], "failed")
    assert daemon.stop() == 0
    told = [line for line in lines(daemon) if line.get("event") == "status"]
    of_done = [line for line in told if line["id"] == done["id"]]
    assert [line["status"] for line in of_done] == ["downloading", "done"]
    last = of_done[-1]
    assert (last["repo"], last["file"], last["bytes"], last["reason"]) == ("own/small", "sub/a.bin", "3000", "")
    assert 0 <= float(last["seconds"]) < 30
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", last["time"])
    assert last["level"] == "info"
    (of_failed,) = [line for line in told if line["id"] == failed["id"] and line["status"] == "failed"]
    assert (of_failed["level"], of_failed["reason"]) == ("error", "file_not_found")


def test_as_text_too(daemon: Daemon) -> None:
    key = daemon.wait(daemon.ask("own/small", "b.txt")["id"], "done")["id"]
    told = [line for line in daemon.log.splitlines() if key in line]
    assert len(told) == 2
    pattern = rf"INFO +hfdmd\.status: own/small/b\.txt downloading -> done, 5 bytes after \d+\.\d+ s, id {key}"
    assert re.search(pattern, told[-1])


def test_a_repo_tells_of_its_small_files_only_what_went_wrong(
    make_daemon: Callable[..., Daemon], hub: HubServer
) -> None:
    """Thousands of lines would make the journal drop those that matter."""
    hub.add_repo("own/many", {f"{number}.json": b"%d" % number for number in range(20)} | {"big.bin": b"x" * 600_000})
    hub.fault("own/many", "7.json", Fault.corrupt(times=None))
    daemon = make_daemon(HFDMD_LOG="json").start()
    repo = daemon.ask("own/many")["id"]
    daemon.wait(repo, "failed")
    assert daemon.stop() == 0
    told = [(line["file"], line["status"]) for line in lines(daemon) if line.get("event") == "status"]
    assert ("", "failed") in told
    assert ("7.json", "failed") in told
    assert ("big.bin", "done") in told
    assert not [entry for entry in told if entry[0] not in ("", "7.json", "big.bin")]


def test_the_level_says_how_much(make_daemon: Callable[..., Daemon]) -> None:
    debug = make_daemon(HFDMD_LOG_LEVEL="debug").start()
    quiet = make_daemon(HFDMD_LOG_LEVEL="error").start()
    for daemon in (debug, quiet):
        daemon.wait(daemon.ask("own/small", "b.txt")["id"], "done")
        daemon.wait(daemon.ask("own/small", "nothing")["id"], "failed")
    assert "DEBUG" in debug.log
    assert len(quiet.log.splitlines()) == 1
    assert "ERROR" in quiet.log


def test_no_secret_is_in_any_log_tracker_or_answer(make_daemon: Callable[..., Daemon], hub: HubServer) -> None:
    """A run with a token, signed URLs, faults of every kind and hostile requests; then everything is searched."""
    hub.add_token(TOKEN)
    hub.add_repo("own/private", {"big.bin": b"x" * 600_000, "small.txt": b"y"}, private=True, lfs=None)
    hub.fault(
        "own/private", "big.bin", Fault.expired(), Fault.reset(after=100_000), Fault.status(403), Fault.status(500)
    )
    hub.fault("own/small", "b.txt", Fault.redirect(f"https://user:{TOKEN}@127.0.0.1:1/?X-Amz-Signature=abc", times=2))
    daemon = make_daemon(HF_TOKEN=TOKEN, HFDMD_LOG_LEVEL="debug", tcp=True).start()
    answers = []
    with Stream(daemon) as live:
        for repo, file in (("own/private", "big.bin"), ("own/private", None), ("own/small", "b.txt")):
            answers.append(daemon.ask(repo, file))
        for answer in answers[:2]:
            daemon.wait(answer["id"], "done", "failed", deadline_s=60)
        until(lambda: daemon.view(answers[2]["id"])["detail"] or daemon.view(answers[2]["id"])["status"] == "done")
        for path in (f"/api/{TOKEN}", f"/api/progress?{TOKEN}={TOKEN}", f"/api/progress?id={TOKEN}"):
            daemon.call("GET", path, headers={"Authorization": f"Bearer {TOKEN}"}, tcp=True)
            daemon.call("GET", path)
        with daemon.connect(tcp=True) as raw:
            raw.sendall(f"GARBAGE {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n {TOKEN}\r\n\r\n".encode())
            raw.recv(65536)
        daemon.get("/api/files", modelRepo="own/private")
        told = [daemon.get(path).body for path in ("/api/progress", "/api/info", "/api/settings", "/metrics")]
        own_token = daemon.token
        assert daemon.stop() == 0
        events = list(live)
    everything = {"the log": daemon.log, "answers": repr(told), "events": repr(events)}
    for path in daemon.state.rglob("*"):
        if path.is_file() and path.name != "token":
            everything[str(path)] = path.read_text(errors="replace")
    assert any(entry.authorization for entry in hub.log), "the token was used"
    for where, text in everything.items():
        for secret in (TOKEN, own_token, "Signature=", "X-Amz", "Key-Pair-Id", "Expires=", "Policy="):
            assert secret not in text, f"{secret} in {where}: {text[max(0, text.find(secret) - 200) :][:400]}"
        assert "authorization" not in text.lower(), where
