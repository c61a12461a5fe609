"""`Client` against the real daemon."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

import hfdmd_client
from hfdmd.wire.types import API_VERSION, SettingsPatch
from hfdmd_client import (
    ApiError,
    Client,
    DaemonSilent,
    DaemonUnreachable,
    Download,
    DownloadCancelled,
    DownloadFailed,
    End,
    InvalidField,
    NotAllowedNow,
    Ready,
    Reason,
    Removed,
    RepoDownload,
    RepoNotFound,
    Status,
    UnknownDownload,
    VersionMismatch,
    WaitTimeout,
)
from hfdmd_client.handshake import check
from tests.client.conftest import BIG, BIG_BYTES, REPO, SMALL
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer


@pytest.fixture
def client(daemon: Daemon) -> Client:
    return Client(socket=daemon.socket)


def test_a_download_waits_and_tells(client: Client) -> None:
    states: list[Download] = []
    done = client.download(REPO, BIG, on_progress=states.append)
    assert done.status is Status.DONE
    assert done.path is not None
    assert Path(done.path).stat().st_size == BIG_BYTES
    assert states[-1] == done
    assert [state.version for state in states] == sorted({state.version for state in states})
    assert client.download(REPO, BIG).version == done.version  # asking again costs nothing


def test_a_repo_download_waits_and_tells(client: Client) -> None:
    states: list[RepoDownload] = []
    done = client.download(REPO, include=["*.json"], on_progress=states.append)
    assert done.status is Status.DONE
    assert (done.files_total, done.files_done) == (1, 1)
    assert done.path is not None
    assert (Path(done.path) / "config.json").read_bytes() == SMALL


def test_a_failure_is_an_exception_with_its_reason(client: Client) -> None:
    with pytest.raises(DownloadFailed) as caught:
        client.download(REPO, "nothing.bin")
    assert caught.value.reason is Reason.FILE_NOT_FOUND
    assert "nothing.bin" in caught.value.detail
    assert isinstance(caught.value, ApiError)


def test_a_failure_is_also_of_the_class_that_the_api_raises(client: Client, hub: HubServer) -> None:
    with pytest.raises(RepoNotFound) as caught:
        client.download("owner/none", "x")
    assert isinstance(caught.value, DownloadFailed)
    assert (caught.value.code, caught.value.status) == ("repo_not_found", 404)
    with pytest.raises(RepoNotFound):
        client.files("owner/none")
    hub.rate_bytes_per_s = 100_000
    asked = client.ask(REPO, BIG)
    client.cancel(id=asked.id)
    with pytest.raises(DownloadCancelled):
        client.download(REPO, BIG, retry=False, on_progress=lambda state: client.cancel(id=state.id))


def test_an_async_callback_is_refused(client: Client) -> None:
    async def remember(state: object) -> None:
        raise AssertionError(state)

    with pytest.raises(TypeError, match="AsyncClient"):
        client.download(REPO, "config.json", on_progress=remember)


def test_a_relative_folder_is_taken_from_here(client: Client, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    done = client.download(REPO, "config.json", local_dir="there/../here")
    assert done.path == str(home / "here" / "config.json")


def test_pause_resume_cancel_retry_delete(client: Client, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    asked = client.ask(REPO, BIG)
    [paused] = client.pause(REPO, BIG).downloads
    assert (paused.id, paused.status) == (asked.id, Status.PAUSED)
    with pytest.raises(NotAllowedNow):
        client.retry(id=asked.id)
    assert client.resume(id=asked.id).downloads[0].status in (Status.QUEUED, Status.DOWNLOADING)
    assert client.cancel(all=True).downloads[0].status is Status.CANCELLED
    hub.rate_bytes_per_s = 0
    client.retry(model_repo=REPO)
    one = client.progress(id=asked.id)
    assert list(client.follow(one))[-1].status is Status.DONE
    assert [d.id for d in client.delete(id=asked.id).downloads] == [asked.id]
    with pytest.raises(UnknownDownload):
        client.progress(REPO, BIG)


def test_reorder(client: Client, hub: HubServer) -> None:
    client.change_settings(SettingsPatch(max_active_downloads=1))
    hub.rate_bytes_per_s = 100_000
    client.ask(REPO, BIG)
    second, third = client.ask(REPO, "config.json"), client.ask(REPO, "onnx/model.onnx")
    [moved] = client.reorder(id=third.id, position=1).downloads
    assert moved.priority >= second.priority
    [raised] = client.reorder(id=second.id, priority=7).downloads
    assert raised.priority == 7
    with pytest.raises(InvalidField):
        client.reorder(id=second.id)


def test_settings_info_health_metrics_openapi(client: Client, daemon: Daemon) -> None:
    assert client.change_settings(SettingsPatch(bandwidth_limit=5_000_000)).bandwidth_limit == 5_000_000
    assert client.settings().bandwidth_limit == 5_000_000
    assert client.change_settings(SettingsPatch(bandwidth_limit=None)).bandwidth_limit == 0
    info = client.info()
    assert info.cache_dir == str(daemon.cache)
    assert info.api_version == API_VERSION
    assert client.health().status == "ok"
    assert client.openapi()["openapi"].startswith("3.1")
    assert "hfdmd" in client.metrics()


def test_lists_and_files(client: Client) -> None:
    client.download(REPO)
    client.download(REPO, "config.json", revision="main", local_dir=None)
    everything = client.downloads()
    assert len(everything.repos) == 1
    assert {d.file_path for d in everything.downloads} == {"config.json", BIG, "onnx/model.onnx"}
    assert client.downloads("owner/other").downloads == []
    assert len(client.downloads(status="done").downloads) == 3
    assert len(client.downloads(limit=2).downloads) <= 2
    files = client.files(REPO)
    assert {file.file_path: file.cached for file in files.files}[BIG]
    with pytest.raises(RepoNotFound):
        client.files("owner/none")


def test_a_watch_tells_the_state_then_ready_then_changes(client: Client, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 20_000_000
    asked = client.ask(REPO, BIG)
    events = list(client.watch(REPO, BIG))
    kinds = [type(event) for event in events]
    assert kinds[0] is Download
    assert Ready in kinds
    assert events[-1] == End(reason="done")
    versions = [event.version for event in events if isinstance(event, Download)]
    assert versions == sorted(set(versions))
    assert asked.id == next(event.id for event in events if isinstance(event, Download))


def test_watching_what_is_not_there(client: Client) -> None:
    with pytest.raises(UnknownDownload):
        next(client.watch(REPO, "nothing.bin"))
    with pytest.raises(UnknownDownload):
        client.progress(id="0" * 32)
    with pytest.raises(ValueError, match="name an id"):
        client.progress(REPO)


def test_a_watch_goes_on_over_a_kill_of_the_daemon(client: Client, daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 4_000_000
    asked = client.ask(REPO, BIG)
    events: list[object] = []
    watching = threading.Thread(target=lambda: events.extend(client.watch(id=asked.id)), daemon=True)
    watching.start()
    until(lambda: daemon.view(asked.id)["downloadedBytes"] > 1_000_000, "some of it is there")
    daemon.kill()
    daemon.start()
    hub.rate_bytes_per_s = 0
    watching.join(30)
    assert not watching.is_alive()
    assert events[-1] == End(reason="done")
    assert sum(isinstance(event, Ready) for event in events) == 2
    versions = [event.version for event in events if isinstance(event, Download)]
    assert versions == sorted(set(versions))
    assert hub.sent_bytes(BIG) < BIG_BYTES * 1.5


def test_following_over_a_clean_restart(client: Client, daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 4_000_000
    results: list[Download] = []
    waiting = threading.Thread(target=lambda: results.append(client.download(REPO, BIG)), daemon=True)
    waiting.start()
    until(lambda: bool(daemon.get("/api/progress").json["downloads"]), "it was requested")
    assert daemon.stop() == 0
    daemon.start()
    hub.rate_bytes_per_s = 0
    waiting.join(30)
    assert results[0].status is Status.DONE


def test_a_repo_that_is_paused_is_waited_out(client: Client, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 2_000_000
    seen: list[Status] = []
    results: list[RepoDownload] = []

    def wait() -> None:
        results.append(client.download(REPO, on_progress=lambda item: seen.append(item.status)))

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    until(lambda: Status.DOWNLOADING in seen, "it is downloading")
    client.pause(REPO)
    until(lambda: Status.PAUSED in seen, "the pause was reported")
    hub.rate_bytes_per_s = 0
    client.resume(REPO)
    waiting.join(30)
    assert results[0].status is Status.DONE


def test_an_update_moves_to_the_newest_commit_and_waits_for_it(client: Client, hub: HubServer) -> None:
    first = client.download(REPO, "config.json")
    whole = client.download(REPO)
    hub.clear_log()
    same = client.download(REPO, "config.json", update=True)
    assert (same.commit, same.path) == (first.commit, first.path)
    assert len(hub.log) == 1, "the daemon asks once, and the client hears of it"
    commit = hub.commit(REPO, {"config.json": b"{}"})
    assert client.download(REPO, "config.json").commit == first.commit  # pinned, unless an update is requested
    moved = client.download(REPO, "config.json", update=True)
    assert moved.commit == commit
    assert moved.path is not None
    assert Path(moved.path).read_bytes() == b"{}"
    assert client.download(REPO).commit == whole.commit
    assert client.download(REPO, update=True).commit == commit
    hub.down()
    assert (
        client.download(REPO, "config.json", update=True).commit == commit
    )  # the Hub does not answer: the commit stays


def test_what_is_removed_while_it_is_waited_for(client: Client, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 100_000
    caught: list[ApiError] = []

    def wait() -> None:
        try:
            client.download(REPO, BIG)
        except ApiError as error:
            caught.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    until(lambda: bool(client.downloads().downloads), "it was requested")
    until(lambda: bool(client.delete(all=True).downloads), "it is removed")
    waiting.join(30)
    assert isinstance(caught[0], UnknownDownload)


def test_a_repo_stream_names_what_was_removed(client: Client, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 100_000
    first, second = client.ask(REPO, BIG), client.ask(REPO, "onnx/model.onnx")
    events = client.watch(REPO)
    before = []
    for event in events:
        if isinstance(event, Ready):
            break
        before.append(event)
    assert {event.id for event in before if isinstance(event, Download)} == {first.id, second.id}
    client.delete(id=first.id)
    assert next(event for event in events if isinstance(event, Removed)) == Removed(id=first.id)
    events.close()  # type: ignore[attr-defined]  # a generator, which an iterator need not be


def test_time_limits(client: Client, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 50_000
    began = time.monotonic()
    with pytest.raises(WaitTimeout, match="the download continues"):
        client.download(REPO, BIG, timeout_s=0.5)
    assert time.monotonic() - began < 10
    assert client.progress(REPO, BIG).status is Status.DOWNLOADING


def test_a_time_limit_holds_while_the_hub_is_asked_for_something_newer(client: Client, hub: HubServer) -> None:
    for path in ("config.json", None):
        client.download(REPO, path)
    hub.freeze()
    began = time.monotonic()
    with pytest.raises(WaitTimeout):
        client.download(REPO, "config.json", update=True, timeout_s=0.5)
    with pytest.raises(WaitTimeout):
        client.download(REPO, update=True, timeout_s=0.5)
    assert time.monotonic() - began < 10
    hub.thaw()


def test_a_hub_that_keeps_the_daemon_waiting_is_no_missing_daemon(daemon: Daemon, hub: HubServer) -> None:
    hub.freeze()
    with pytest.raises(DaemonSilent, match="did not answer within"):
        Client(socket=daemon.socket, timeout_s=0.5).files(REPO)
    hub.thaw()


def test_errors_are_one_tree_and_say_what_is_wrong(client: Client) -> None:
    with pytest.raises(InvalidField) as caught:
        client.ask("not/a/repo", "x")
    assert caught.value.field == "modelRepo"
    with pytest.raises(InvalidField) as caught:
        client.ask(REPO, "../../etc/passwd")
    assert caught.value.field == "filePath"
    with pytest.raises(UnknownDownload):
        client.pause("owner/none")
    errors = [getattr(hfdmd_client, name) for name in hfdmd_client.__all__]
    classes = [error for error in errors if isinstance(error, type) and issubclass(error, BaseException)]
    assert len(classes) > 25
    assert all(issubclass(error, ApiError) for error in classes)


def test_no_daemon_names_every_place(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HFDMD_SOCKET", "HFDMD_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    monkeypatch.setenv("HFDMD_STATE_DIR", str(home / "state"))
    with pytest.raises(DaemonUnreachable) as caught:
        Client().info()
    for address in ("run/hfdmd.sock", "state/hfdmd.sock", "/run/hfdmd.sock", "hfdm doctor"):
        assert address in caught.value.detail
    with pytest.raises(DaemonUnreachable, match="not a URL of a daemon"):
        Client(url="ftp://example.org")
    with pytest.raises(ValueError, match="not both"):
        Client(url="http://127.0.0.1:1", socket="x")
    with pytest.raises(DaemonUnreachable, match=r"no process listens|refused"):
        Client(url="http://127.0.0.1:1").info()
    with pytest.raises(DaemonUnreachable, match=r"107 bytes|103 bytes"):
        Client(socket=home / ("x" * 120)).info()


def test_over_tcp_with_the_token(hub: HubServer, home: Path) -> None:
    with Daemon(home, hub.endpoint, HFDMD_LISTEN="127.0.0.1:0") as daemon:
        endpoint = json.loads((daemon.state / "endpoint.json").read_bytes())
        token = next(path for path in daemon.state.iterdir() if "token" in path.name).read_text().strip()
        client = Client(url=endpoint["url"], token=token)
        assert client.download(REPO, "config.json").status is Status.DONE
        assert isinstance(next(client.watch()), Download)
        with pytest.raises(hfdmd_client.Unauthorized):
            Client(url=endpoint["url"], token="wrong").info()
        with pytest.raises(hfdmd_client.Unauthorized):
            Client(url=endpoint["url"]).info()
        assert Client(url=endpoint["url"]).health().status == "ok"
        with pytest.raises(hfdmd_client.ForbiddenPath):
            client.ask(REPO, "config.json", local_dir="/etc/here")


def test_another_version_of_the_api_is_told_with_what_to_do(client: Client) -> None:
    info = client.info()
    info.api_version = "2"
    with pytest.raises(VersionMismatch, match="Install hfdmd"):
        check(info)
    info.api_version = "0"
    with pytest.raises(VersionMismatch, match="hfdm restart"):
        check(info)
