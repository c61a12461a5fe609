"""`python -m tests.fakehub`: the test Hub as a command."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakehub import seeded
from tests.fakehub.official import hf, official
from tests.fakehub.official_xet import xet_download
from tests.fakehub.raw import ask
from tests.fakehub.real import MODEL_FILE, MODEL_SHA256, NotTheModel, minilm_folder, sha256_of

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(*arguments: str | Path) -> Iterator[dict[str, str]]:
    """The running command; its stdout's first lines as a dict. Afterwards it must end cleanly on SIGTERM."""
    command = [sys.executable, "-m", "tests.fakehub", *map(str, arguments)]
    lines = 2 if "--tls" in arguments else 1
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = [process.stdout.readline().strip() for _ in range(lines)]
        try:
            yield dict(line.split("=", 1) for line in said)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repo on disk."""
    repo = tmp_path / "repo"
    (repo / "sub").mkdir(parents=True)
    (repo / "config.json").write_text("{}")
    (repo / "sub/model.safetensors").write_bytes(seeded(2_000_000, 1).read())
    (repo / ".git").mkdir()
    (repo / ".git/HEAD").write_text("not served")
    return repo


def test_one_folder_as_one_repo(folder: Path, tmp_path: Path) -> None:
    with serving("--from", folder, "--repo", "o/n") as said:
        snapshot = Path(official('result = snapshot_download("o/n")', said["HF_ENDPOINT"], tmp_path / "home"))
        assert (snapshot / "sub/model.safetensors").read_bytes() == seeded(2_000_000, 1).read()
        assert not (snapshot / ".git").exists()
    assert isinstance(ask(said["HF_ENDPOINT"]).problem, ConnectionRefusedError)


def test_a_folder_by_xet(folder: Path, tmp_path: Path) -> None:
    with serving("--from", folder, "--repo", "o/n", "--xet") as said:
        head = ask(f"{said['HF_ENDPOINT']}/o/n/resolve/main/sub/model.safetensors", "HEAD")
        wanted = (head.headers["x-xet-hash"], 2_000_000, tmp_path / "got")
        xet_download(said["HF_ENDPOINT"], "o/n", tmp_path / "home", [wanted])
    assert (tmp_path / "got").read_bytes() == seeded(2_000_000, 1).read()


def test_folders_of_owners_and_names_on_a_chosen_port(tmp_path: Path) -> None:
    for name in ("a/one", "a/two", "b/one"):
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / "who.txt").write_text(name)
    with serving("--from", tmp_path / "all", "--repo-type", "dataset") as said:
        port = said["HF_ENDPOINT"].rpartition(":")[2]
        for name in ("a/one", "a/two", "b/one"):
            got = ask(f"{said['HF_ENDPOINT']}/datasets/{name}/resolve/main/who.txt")
            assert got.body == name.encode()
    with serving("--from", tmp_path / "all", "--port", port) as again:
        assert again == said


def test_token_and_tls(folder: Path) -> None:
    with serving("--from", folder, "--token", "hf_x", "--tls", "--latency", "0.01", "--rate", "1e9") as said:
        url = f"{said['HF_ENDPOINT']}/local/repo/resolve/main/config.json"
        assert ask(url, ca_path=said["SSL_CERT_FILE"]).headers["x-error-code"] == "GatedRepo"
        assert ask(url, ca_path=said["SSL_CERT_FILE"], Authorization="Bearer hf_x").body == b"{}"
    assert not Path(said["SSL_CERT_FILE"]).exists()


def test_no_folder_is_a_usage_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fakehub", "--from", str(tmp_path / "none")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a folder" in done.stderr


def test_the_real_model_by_the_hf_command(tmp_path: Path) -> None:
    folder = minilm_folder()
    if folder is None:
        pytest.skip("the real model is not here: `python -m tests.fakehub.real DIR`, then HFDMD_TEST_MINILM=DIR")
    with serving("--from", folder, "--repo", "sentence-transformers/all-MiniLM-L6-v2") as said:
        args = ("download", "sentence-transformers/all-MiniLM-L6-v2", "--local-dir", str(tmp_path / "model"))
        done = hf(said["HF_ENDPOINT"], tmp_path / "home", *args)
        assert done.returncode == 0, done.stderr
    assert sha256_of(tmp_path / "model" / MODEL_FILE) == MODEL_SHA256
    assert (tmp_path / "model/1_Pooling/config.json").is_file()


def test_a_wrong_model_is_not_taken(tmp_path: Path) -> None:
    assert minilm_folder(tmp_path) is None
    (tmp_path / MODEL_FILE).write_bytes(b"short")
    with pytest.raises(NotTheModel, match="has 5 bytes instead of"):
        minilm_folder(tmp_path)
