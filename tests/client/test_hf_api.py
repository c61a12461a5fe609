"""The swap-ins beside the originals: the same calls through both, compared."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

import hfdmd_client
from tests.client.conftest import BIG, BIG_BYTES, REPO, Hfdm
from tests.daemon.test_unwritable import read_only, root
from tests.daemon_process import Daemon
from tests.fakehub import HubServer, seeded
from tests.marks import slow

OURS = {"fallback", "client"}

PROGRAM = """
import json, sys, os, pathlib
import hfdmd_client, huggingface_hub
from huggingface_hub.errors import HfHubHTTPError
source, name, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
module = hfdmd_client if source == "ours" else huggingface_hub
bars = []
class Bar:
    def __init__(self, *args, **kwargs):
        self.total, self.n = kwargs.get("total"), kwargs.get("initial", 0)
        bars.append(self)
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def __iter__(self): return iter(())
    def update(self, n=1): self.n += n
    def __getattr__(self, name): return lambda *a, **k: None
if arguments.pop("bar", False):
    arguments["tqdm_class"] = Bar
try:
    result = getattr(module, name)(**arguments)
    out = {"result": result, "exists": os.path.exists(result)}
except Exception as error:
    out = {"error": type(error).__name__, "mro": [c.__name__ for c in type(error).__mro__], "text": str(error),
           "status": getattr(getattr(error, "response", None), "status_code", None),
           "argument": getattr(error, "argument", None)}
out["bars"] = [(bar.total, bar.n) for bar in bars]
print(json.dumps(out))
"""


class Caller:
    """Calls a function of ours or of huggingface_hub in a process of its own, with a home of its own."""

    def __init__(self, env: dict[str, str], home: Path) -> None:
        self.env = env
        self.home = home
        self.wrapper: Sequence[str] = ()

    def __call__(self, source: str, name: str, env: dict[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
        done = subprocess.run(
            [*self.wrapper, sys.executable, "-c", PROGRAM, source, name, json.dumps(arguments)],
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


@pytest.fixture
def ours(daemon: Daemon) -> Callable[..., dict[str, Any]]:
    caller = Caller(daemon.env, daemon.home)
    return lambda name, **arguments: caller("ours", name, **arguments)


@pytest.fixture
def theirs(hub: HubServer, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    caller = Caller(env, tmp_path)
    return lambda name, **arguments: caller("theirs", name, **arguments)


def below(path: str, root: str) -> str:
    return path[path.index(root) :]


@pytest.mark.parametrize("name", ["hf_hub_download", "snapshot_download"])
def test_the_signatures_are_the_originals(name: str) -> None:
    original = inspect.signature(getattr(huggingface_hub, name)).parameters
    ours = inspect.signature(getattr(hfdmd_client, name)).parameters
    assert set(ours) - set(original) == OURS
    assert [n for n in ours if n not in OURS] == list(original)
    for parameter in original.values():
        assert ours[parameter.name].default == parameter.default
        assert ours[parameter.name].kind == parameter.kind


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("hf_hub_download", {"repo_id": REPO, "filename": "config.json"}),
        ("hf_hub_download", {"repo_id": REPO, "filename": "model.onnx", "subfolder": "onnx"}),
        slow("hf_hub_download", {"repo_id": REPO, "filename": "config.json", "revision": "main", "library_name": "x"}),
        ("snapshot_download", {"repo_id": REPO}),
        slow("snapshot_download", {"repo_id": REPO, "allow_patterns": "*.json"}),
        ("snapshot_download", {"repo_id": REPO, "allow_patterns": ["*.none"]}),
        slow("snapshot_download", {"repo_id": REPO, "ignore_patterns": ["*.safetensors", "onnx/"], "max_workers": 2}),
    ],
)
def test_the_same_path_comes_back(
    ours: Callable[..., dict[str, Any]], theirs: Callable[..., dict[str, Any]], name: str, arguments: dict[str, Any]
) -> None:
    mine, original = ours(name, **arguments), theirs(name, **arguments)
    assert below(mine["result"], "models--") == below(original["result"], "models--")
    assert mine["exists"] == original["exists"]
    if mine["exists"]:
        assert _tree(Path(mine["result"])) == _tree(Path(original["result"]))


def _tree(root: Path) -> dict[str, bytes]:
    if root.is_file():
        return {root.name: root.read_bytes()}
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_same_path_in_a_folder(
    ours: Callable[..., dict[str, Any]], theirs: Callable[..., dict[str, Any]], home: Path, tmp_path: Path
) -> None:
    mine = ours("hf_hub_download", repo_id=REPO, filename="onnx/model.onnx", local_dir=str(home / "out"))
    original = theirs("hf_hub_download", repo_id=REPO, filename="onnx/model.onnx", local_dir=str(tmp_path / "out"))
    assert below(mine["result"], "out/") == below(original["result"], "out/")
    mine = ours("snapshot_download", repo_id=REPO, local_dir=str(home / "out"), allow_patterns=["*.json"])
    assert mine["result"] == str((home / "out").resolve())
    assert (home / "out" / "config.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("hf_hub_download", {"repo_id": REPO, "filename": "nothing.bin"}),
        ("hf_hub_download", {"repo_id": REPO, "filename": "config.json", "revision": "nowhere"}),
        slow("hf_hub_download", {"repo_id": "owner/none", "filename": "x"}),
        ("hf_hub_download", {"repo_id": "owner/gated", "filename": "x"}),
        slow("hf_hub_download", {"repo_id": "not/a/repo", "filename": "x"}),
        ("hf_hub_download", {"repo_id": REPO, "filename": "config.json", "repo_type": "movie"}),
        ("hf_hub_download", {"repo_id": REPO, "filename": "config.json", "local_files_only": True}),
        ("hf_hub_download", {"repo_id": REPO, "filename": "../config.json"}),
        slow("hf_hub_download", {"repo_id": REPO, "filename": "onnx\\model.onnx"}),
        slow("hf_hub_download", {"repo_id": REPO, "filename": "n" * 256}),
        slow("hf_hub_download", {"repo_id": REPO, "filename": "model.onnx", "subfolder": "onnx/"}),
        slow("hf_hub_download", {"repo_id": REPO, "filename": "config.json", "revision": ""}),
        slow("hf_hub_download", {"repo_id": REPO, "filename": "config.json", "revision": "a..b"}),
        slow("hf_hub_download", {"repo_id": "owner/none", "filename": ""}),
        ("snapshot_download", {"repo_id": "owner/none"}),
        slow("snapshot_download", {"repo_id": REPO, "revision": "a..b"}),
        slow("snapshot_download", {"repo_id": REPO, "revision": "nowhere"}),
        ("snapshot_download", {"repo_id": REPO, "local_files_only": True}),
    ],
)
def test_the_same_exception_comes_out(
    ours: Callable[..., dict[str, Any]],
    theirs: Callable[..., dict[str, Any]],
    hub: HubServer,
    name: str,
    arguments: dict[str, Any],
) -> None:
    hub.add_repo("owner/gated", {"x": b"secret"}, gated=True)
    mine, original = ours(name, **arguments), theirs(name, **arguments)
    assert mine["error"] == original["error"]
    assert mine["mro"] == original["mro"]
    assert mine["status"] == original["status"]


@pytest.mark.slow
def test_a_name_that_is_none_finds_nothing_in_the_cache(
    ours: Callable[..., dict[str, Any]], theirs: Callable[..., dict[str, Any]], hub: HubServer
) -> None:
    """An empty name is the snapshot's own folder there, and `onnx//` is `onnx/`."""
    names = ("", "onnx//model.onnx")
    for call in (ours, theirs):
        call("hf_hub_download", repo_id=REPO, filename="onnx/model.onnx")
    for filename in names:
        mine, original = (call("hf_hub_download", repo_id=REPO, filename=filename) for call in (ours, theirs))
        assert (mine["error"], mine["status"]) == (original["error"], original["status"])
    hub.down()
    for filename in names:
        assert ours("hf_hub_download", repo_id=REPO, filename=filename)["error"] == "InvalidField"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("token", False),
        ("cache_dir", "/elsewhere"),
        slow("endpoint", "http://127.0.0.1:1"),
        slow("headers", {"X-A": "b"}),
        ("force_download", True),
        slow("dry_run", True),
        ("repo_type", "kernel"),
    ],
)
def test_what_a_daemon_cannot_serve_is_named(ours: Callable[..., dict[str, Any]], argument: str, value: object) -> None:
    found = ours("hf_hub_download", repo_id=REPO, filename="config.json", **{argument: value})
    assert found["error"] == "UnsupportedByDaemon"
    assert found["argument"] == argument
    assert "fallback=True" in found["text"]
    assert "hf_secretsecret" not in found["text"]


@pytest.mark.slow
def test_the_callers_token_opens_what_it_may(daemon: Daemon, home: Path, hub: HubServer) -> None:
    caller = Caller(daemon.env, home)
    hub.add_token("hf_secretsecret")
    for name, env, token in (
        ("owner/env", {"HF_TOKEN": "hf_secretsecret"}, None),
        ("owner/true", {"HF_TOKEN": "hf_secretsecret"}, True),
        ("owner/given", {}, "hf_secretsecret"),
    ):
        hub.add_repo(name, {"x": b"secret"}, gated=True)
        assert caller("ours", "hf_hub_download", env, repo_id=name, filename="x", token=token)["exists"], name
        whole = caller("ours", "snapshot_download", env, repo_id=name, token=token)
        assert whole["exists"], name
    hub.add_repo("owner/closed", {"x": b"secret"}, gated=True)
    for source in ("ours", "theirs"):
        assert caller(source, "hf_hub_download", repo_id="owner/closed", filename="x")["error"] == "GatedRepoError"
    for source in ("ours", "theirs"):
        found = caller(source, "hf_hub_download", repo_id=REPO, filename=BIG, token=True)
        assert found["error"] == "LocalTokenNotFoundError"


@pytest.mark.parametrize("why", ["a wrong setting", pytest.param("a read-only disk", marks=[root, pytest.mark.slow])])
def test_where_no_daemon_can_start_the_cache_is_read(lone_hfdm: Hfdm, why: str) -> None:
    caller = Caller(lone_hfdm.env, lone_hfdm.home)
    assert lone_hfdm("download", REPO, "config.json").returncode == 0
    assert lone_hfdm("stop").returncode == 0
    if why == "a read-only disk":
        caller.wrapper = read_only(lone_hfdm.home / "hf")
    else:
        caller.env = {**caller.env, "HFDMD_BANDWIDTH_LIMIT": "fast"}
    assert caller("ours", "hf_hub_download", repo_id=REPO, filename="config.json")["exists"]
    missing = caller("ours", "hf_hub_download", repo_id=REPO, filename=BIG)
    assert missing["error"] == "DaemonNotStarted"
    assert ("Read-only" if why == "a read-only disk" else "not a speed") in missing["text"]


def test_the_original_does_it_with_fallback(ours: Callable[..., dict[str, Any]], home: Path) -> None:
    folder = home / "elsewhere"
    found = ours("hf_hub_download", repo_id=REPO, filename="config.json", cache_dir=str(folder), fallback=True)
    assert found["exists"]
    assert found["result"].startswith(str(folder))


def test_the_daemons_own_cache_and_endpoint_may_be_named(ours: Callable[..., dict[str, Any]], daemon: Daemon) -> None:
    found = ours(
        "hf_hub_download",
        repo_id=REPO,
        filename="config.json",
        cache_dir=str(daemon.cache),
        endpoint=daemon.env["HF_ENDPOINT"],
    )
    assert found["exists"]


def test_a_daemon_for_another_cache_is_refused_with_a_sentence(daemon: Daemon, home: Path) -> None:
    caller = Caller(daemon.env, home)
    found = caller("ours", "hf_hub_download", {"HF_HOME": str(home / "mine")}, repo_id=REPO, filename="config.json")
    assert found["error"] == "DaemonMismatch"
    assert str(daemon.cache) in found["text"]
    found = caller(
        "ours", "hf_hub_download", {"HF_ENDPOINT": "http://127.0.0.1:1"}, repo_id=REPO, filename="config.json"
    )
    assert found["error"] == "DaemonMismatch"


@pytest.mark.slow
def test_offline_from_the_cache_without_a_daemon(
    ours: Callable[..., dict[str, Any]], daemon: Daemon, hub: HubServer
) -> None:
    path = ours("hf_hub_download", repo_id=REPO, filename="config.json")["result"]
    commit = Path(path).parent.name
    daemon.stop()
    hub.clear_log()
    env = {"HFDMD_NO_SPAWN": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    caller = Caller(daemon.env, daemon.home)
    for arguments in ({"local_files_only": True}, {"revision": commit}):
        found = caller("ours", "hf_hub_download", env, repo_id=REPO, filename="config.json", **arguments)
        assert found["result"] == path
    found = caller("ours", "hf_hub_download", {**env, "HF_HUB_OFFLINE": "1"}, repo_id=REPO, filename="config.json")
    assert found["result"] == path
    assert hub.log == []
    found = caller("ours", "hf_hub_download", env, repo_id=REPO, filename=BIG)
    assert found["error"] == "DaemonUnreachable"
    daemon.start()


def test_without_a_network_as_the_originals(
    daemon: Daemon, hub: HubServer, ours: Callable[..., dict[str, Any]]
) -> None:
    path = ours("hf_hub_download", repo_id=REPO, filename="config.json")["result"]
    hub.down()
    assert ours("hf_hub_download", repo_id=REPO, filename="config.json")["result"] == path
    assert ours("hf_hub_download", repo_id=REPO, filename=BIG)["error"] == "LocalEntryNotFoundError"


def test_a_new_commit_is_noticed(ours: Callable[..., dict[str, Any]], hub: HubServer) -> None:
    before = ours("hf_hub_download", repo_id=REPO, filename="config.json")["result"]
    commit = hub.commit(REPO, {"config.json": b'{"new": true}'})
    after = ours("hf_hub_download", repo_id=REPO, filename="config.json")["result"]
    assert after != before
    assert commit in after


def test_a_progress_bar_of_ones_own(ours: Callable[..., dict[str, Any]], hub: HubServer) -> None:
    hub.add_repo("owner/slow", {"big.bin": seeded(BIG_BYTES, seed=9)})
    hub.rate_bytes_per_s = 8_000_000
    found = ours("hf_hub_download", repo_id="owner/slow", filename="big.bin", bar=True)
    assert found["exists"]
    assert found["bars"] == [[BIG_BYTES, BIG_BYTES]]


def test_it_starts_a_daemon(lone_hfdm: Hfdm) -> None:
    found = Caller(lone_hfdm.env, lone_hfdm.home)("ours", "hf_hub_download", repo_id=REPO, filename="config.json")
    assert found["exists"]
    assert len(lone_hfdm.pids()) == 1
