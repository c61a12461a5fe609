"""Mirrors, gateways, clocks and proxies as people met them: downloads come through, wait, or say what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.daemon.repo import BIG, FILES, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer, seeded
from tests.fakehub.content import content_of
from tests.fakehub.proxy import ForwardProxy
from tests.marks import slow

LARGE = "model-00001.safetensors"
Mirror = Callable[[HubServer], None]


def onward(hub: HubServer) -> None:
    """Replaced by a second server in `mirror`: everything is sent on to the first."""


def refuses_the_query(hub: HubServer) -> None:
    hub.fault(None, "@revision", Fault.no_query("expand"))


def codes_bodies(hub: HubServer) -> None:
    hub.fault(None, None, Fault.gzip().at("any"))


def codes_bodies_with_weak_etags(hub: HubServer) -> None:
    hub.fault(None, None, Fault.gzip(coding="deflate").at("any"), Fault.say({"ETag": 'W/"5c0a69da"'}, on="any"))


def names_no_commit(hub: HubServer) -> None:
    hub.fault(None, None, Fault.say({"X-Repo-Commit": None}, on="any"))


def is_its_own_storage(hub: HubServer) -> None:
    hub.world.storage_on_hub = True


def says_0_bytes(hub: HubServer) -> None:
    for path, content in FILES.items():
        known = content_of(content)
        etag = known.sha256 if path.endswith(".safetensors") else known.git_sha1
        hub.fault(REPO, path, Fault.instead(b"", on="head"), Fault.say({"ETag": f'"{etag}"'}, on="head"))


MIRRORS: list[Mirror] = [
    onward,
    refuses_the_query,
    codes_bodies,
    codes_bodies_with_weak_etags,
    names_no_commit,
    is_its_own_storage,
    says_0_bytes,
]


@pytest.fixture
def mirrored(hub: HubServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon whose Hub is a mirror with one peculiarity."""
    mirror: Mirror = request.param
    hub.add_repo(REPO, FILES)
    mirror(hub)
    with ExitStack() as stack:
        endpoint = hub.endpoint
        if mirror is onward:
            other = stack.enter_context(HubServer())
            other.fault(None, None, Fault.onward(hub.endpoint))
            endpoint = other.endpoint
        yield stack.enter_context(Daemon(tmp_path / "h", endpoint))


@pytest.mark.parametrize("mirrored", MIRRORS, indirect=True, ids=lambda mirror: mirror.__name__)
@pytest.mark.parametrize(
    "path",
    [
        pytest.param("config.json", id="small", marks=pytest.mark.slow),
        pytest.param(LARGE, id="large", marks=pytest.mark.slow),
        pytest.param(None, id="repo"),
    ],
)
def test_a_mirror_is_downloaded_from(mirrored: Daemon, path: str | None) -> None:
    done = mirrored.wait(mirrored.download(REPO, path).json["id"], "done", "failed")
    assert done["status"] == "done", done
    here = Path(done["path"])
    for name in FILES if path is None else [path]:
        assert (here / name if path is None else here).read_bytes() == content_of(FILES[name]).read()
    assert "Traceback" not in mirrored.log


@pytest.mark.parametrize("of_cdn", [slow(False), True])
@pytest.mark.parametrize("path", [LARGE, None])
def test_a_pointer_instead_of_the_file(hub: HubServer, daemon: Daemon, path: str | None, of_cdn: bool) -> None:
    commit = hub.add_repo(REPO, FILES)
    pointer = hub.repo(REPO).commits[commit].files[LARGE].pointer
    hub.fault(REPO, LARGE, Fault.instead(pointer, on="body") if of_cdn else Fault.pointer())
    key = daemon.download(REPO, path).json["id"]
    failed = daemon.wait(key, "failed")
    if path is None:
        failed = next(view for view in daemon.get("/api/progress").json["downloads"] if view["filePath"] == LARGE)
    assert failed["reason"] == "hash_mismatch"
    assert "LFS pointer" in failed["detail"]
    hub.clear_faults()
    daemon.post("/api/retry", id=failed["id"])
    daemon.wait(key, "done")


def test_a_small_file_that_looks_like_a_pointer_and_is_none(hub: HubServer, daemon: Daemon) -> None:
    text = b"version https://git-lfs.github.com/spec/v1\n# how to read a pointer\n"
    hub.add_repo(REPO, {"example.txt": text})
    done = daemon.wait(daemon.download(REPO, "example.txt").json["id"], "done", "failed")
    assert done["status"] == "done", done


@pytest.mark.parametrize(("start", "end"), [slow(-3, -1), (1, 2)], ids=["expired", "not yet valid"])
def test_a_clock_that_is_wrong_is_waited_for(tmp_path: Path, start: int, end: int) -> None:
    with HubServer(tls=True) as hub:
        hub.add_repo(REPO, FILES)
        hub.renew_certificate(start, end)
        with Daemon(tmp_path / "h", hub.endpoint, SSL_CERT_FILE=hub.ca_path) as daemon:
            keys = [daemon.download(REPO, path).json["id"] for path in (LARGE, None)]
            for key in keys:
                until(lambda key=key: daemon.view(key)["reason"] == "network", "it waits")
                view = daemon.view(key)
                assert view["status"] == "queued"
                assert "clock" in view["detail"]
            hub.renew_certificate(-1, 1)
            for key in keys:
                daemon.wait(key, "done")


def test_any_other_certificate_fails(tmp_path: Path) -> None:
    with HubServer(tls=True) as hub, HubServer(tls=True) as other:
        hub.add_repo(REPO, FILES)
        with Daemon(tmp_path / "h", hub.endpoint, SSL_CERT_FILE=other.ca_path) as daemon:
            failed = daemon.wait(daemon.download(REPO, LARGE).json["id"], "failed")
    assert failed["reason"] == "tls"


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("ALL_PROXY", "socks5h://me:secret@127.0.0.1:1080", "'socks5h'"),
        ("http_proxy", "socks5://127.0.0.1:1080", "'socks5'"),
        ("HTTP_PROXY", "https://127.0.0.1:3128", "'https'"),
        ("HTTP_PROXY", "http://me:secret@127.0.0.1:port", "not a URL"),
    ],
)
def test_a_proxy_that_can_never_work_is_an_error_at_start(
    hub: HubServer, tmp_path: Path, variable: str, value: str, named: str
) -> None:
    ended = Daemon(tmp_path / "h", hub.endpoint, **{variable: value}).run_to_end()
    assert ended.returncode == 78
    assert variable.upper() in ended.stderr
    assert named in ended.stderr
    assert "secret" not in ended.stderr
    with Daemon(tmp_path / "h", hub.endpoint, **{variable: value}, NO_PROXY="127.0.0.1") as daemon:
        assert daemon.get("/api/health").status == 200


def test_a_proxy_that_wants_a_password(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, {BIG: FILES[LARGE]})
    with ForwardProxy("me:secret") as proxy:
        with Daemon(tmp_path / "h", hub.endpoint, HTTP_PROXY=proxy.url.replace("me:secret@", "")) as daemon:
            key = daemon.download(REPO, BIG).json["id"]
            until(lambda: daemon.view(key)["reason"] == "network", "it waits")
            assert "user name and a password" in daemon.view(key)["detail"]
        with Daemon(tmp_path / "h", hub.endpoint, HTTP_PROXY=proxy.url) as daemon:
            daemon.wait(key, "done")


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
@pytest.mark.slow
def test_descriptors_that_run_out_fail_nothing(tmp_path: Path) -> None:
    """The token's file and the certificates are read while others hold all descriptors."""
    small = {f"{number}.json": b"%d" % number for number in range(80)}
    large = {f"{number}.safetensors": seeded(2_000_000, seed=number) for number in range(4)}
    with HubServer(tls=True) as hub:
        hub.add_repo(REPO, {**small, **large})
        hub.add_token("hf_token")
        (tmp_path / "h" / "hf").mkdir(parents=True)
        (tmp_path / "h" / "hf" / "token").write_text("hf_token")
        few = ["prlimit", "--nofile=40:40"]
        with Daemon(tmp_path / "h", hub.endpoint, wrapper=few, SSL_CERT_FILE=hub.ca_path) as daemon:
            done = daemon.wait(daemon.download(REPO).json["id"], "done", "failed")
            assert done["status"] == "done", done
            assert "Too many open files" in daemon.log, "they did not run out"


@pytest.mark.parametrize("blanks", ["{} ", " {}/ ", "{}/"])
def test_blanks_around_the_endpoint(hub: HubServer, tmp_path: Path, blanks: str) -> None:
    hub.add_repo(REPO, {"config.json": b"{}"})
    with Daemon(tmp_path / "h", blanks.format(hub.endpoint)) as daemon:
        daemon.wait(daemon.download(REPO, "config.json").json["id"], "done")
