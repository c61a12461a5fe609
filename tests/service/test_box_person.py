"""On the booted system: a person's own service, beside the shared one."""

from __future__ import annotations

import stat
from collections.abc import Iterator

import pytest

from tests.daemon_process import until
from tests.service.box import HUB_URL, PREFIX, Box
from tests.service.hub_in_box import content

ADA = "ada"
CACHE = "/home/ada/models and more"


@pytest.fixture(scope="module")
def installed(box: Box) -> Iterator[Box]:
    """Ada's service, installed with a cache of her choice in her shell's environment, lingering."""
    box.ok("loginctl", "enable-linger", ADA)  # as a login would: her user manager runs
    uid = box.uid(ADA)
    until(lambda: box.path(f"/run/user/{uid}/systemd/private").exists(), "her user manager")
    env = ("env", f"HF_HOME={CACHE}", f"HF_ENDPOINT={HUB_URL}", "SSL_CERT_FILE=/srv/hub/ca.pem")
    box.before_person = files_of(box)
    said = box.run_as(ADA, *env, f"{PREFIX}/bin/hfdm", "service", "install", "--user", "--now")
    assert said.code == 0, said.err
    yield box
    box.ok("loginctl", "disable-linger", ADA)


def files_of(box: Box) -> frozenset[str]:
    return frozenset(box.ok("find", "/home/ada").splitlines())


def test_her_own_daemon_over_her_own_cache(installed: Box) -> None:
    box = installed
    shown = box.ok_as(ADA, "hfdm", "service", "status")
    assert "service: active (running), enabled at boot" in shown
    assert "linger: on" in shown
    found = box.path(f"/run/user/{box.uid(ADA)}/hfdmd.sock").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, box.uid(ADA))
    env = ("env", f"HF_HOME={CACHE}", f"HF_ENDPOINT={HUB_URL}", "HFDMD_NO_SPAWN=1")
    printed = box.ok_as(ADA, *env, "hfdm", "download", "acme/person", "model.safetensors").strip()
    assert printed.startswith(f"{CACHE}/hub/models--acme--person/snapshots/")
    assert box.ok("stat", "--dereference", "--format=%U %a", printed).split() == [ADA, "644"]
    assert box.ok("sha256sum", printed).split()[0] == content("acme/person", "model.safetensors").sha256


def test_she_may_name_any_folder(installed: Box) -> None:
    box = installed
    env = ("env", f"HF_HOME={CACHE}", f"HF_ENDPOINT={HUB_URL}", "HFDMD_NO_SPAWN=1")
    target = "/home/ada/project/model"
    box.ok_as(ADA, *env, "hfdm", "download", "acme/person", "model.safetensors", "--local-dir", target)
    assert box.path(f"{target}/model.safetensors").read_bytes() == content("acme/person", "model.safetensors").read()


def test_nobody_else_talks_to_it(installed: Box) -> None:
    box = installed
    socket = f"/run/user/{box.uid(ADA)}/hfdmd.sock"
    refused = box.run_as("member", "curl", "--silent", "--unix-socket", socket, "http://x/api/health")
    assert refused.code == 7


def test_comes_back_after_a_kill(installed: Box) -> None:
    box = installed
    main_pid = ("systemctl", "--user", "show", "--property=MainPID", "--value", "hfdmd.service")
    pid = box.ok_as(ADA, *main_pid).strip()
    box.ok("kill", "-9", pid)
    until(lambda: box.ok_as(ADA, *main_pid).strip() not in ("0", pid), "another daemon")


def test_stop_start_and_logs(installed: Box) -> None:
    box = installed
    box.ok_as(ADA, "hfdm", "service", "stop", "--user")
    assert box.run_as(ADA, "hfdm", "service", "status", "--user").code == 3
    box.ok_as(ADA, "hfdm", "service", "start", "--user")
    assert box.run_as(ADA, "hfdm", "service", "status", "--user").code == 0
    assert "hfdmd" in box.ok_as(ADA, "hfdm", "service", "logs", "--user")


def test_a_daemon_that_hfdm_started_makes_room(installed: Box) -> None:
    box = installed
    box.ok_as(ADA, "hfdm", "service", "uninstall", "--user")
    env = ("env", f"HF_HOME={CACHE}", f"HF_ENDPOINT={HUB_URL}", "SSL_CERT_FILE=/srv/hub/ca.pem")
    box.ok_as(ADA, "sh", "-c", f"HF_HOME='{CACHE}' HF_ENDPOINT={HUB_URL} setsid {PREFIX}/bin/hfdmd >/dev/null 2>&1 &")
    until(lambda: box.path("/home/ada/.local/state/hfdmd/endpoint.json").exists(), "her daemon")
    said = box.run_as(ADA, *env, f"{PREFIX}/bin/hfdm", "service", "install", "--user", "--now")
    assert said.code == 0, said.err
    assert "stopping the daemon that runs outside the service" in said.err
    assert box.run_as(ADA, "hfdm", "service", "status", "--user").code == 0


def test_uninstalled_without_a_trace(installed: Box) -> None:
    box = installed
    box.ok_as(ADA, "hfdm", "service", "uninstall", "--user")
    own = (CACHE, "/home/ada/project", "/home/ada/.local")
    left = {path for path in files_of(box) - box.before_person if not path.startswith(own)}
    assert left <= {"/home/ada/.config", "/home/ada/.config/systemd", "/home/ada/.config/systemd/user"}
    assert box.path(f"{CACHE}/hub/models--acme--person").is_dir(), "her models are gone"
