"""The official huggingface_hub client works with the test Hub, unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakehub import Fault, HubServer, seeded
from tests.fakehub.content import MIB, Source, content_of
from tests.fakehub.official import hf, official
from tests.marks import slow

BIG = seeded(3_000_000, 1)
FILES: dict[str, Source] = {
    "config.json": b'{"a": 1}',
    "README.md": "# hi\n" * 500,
    "onnx/deep/model.onnx": seeded(200_000, 2),
    "model.safetensors": BIG,
    "empty.txt": b"",
    "ä ö.txt": "odd",
}
SCAN = """
info = scan_cache_dir()
result = {
    "warnings": [str(w) for w in info.warnings],
    "repos": sorted([r.repo_type, r.repo_id, r.nb_files, sorted(r.refs)] for r in info.repos),
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("git_route", ["direct", slow("resolve-cache")])
@pytest.mark.parametrize("gzip_text", [False, True])
def test_one_file_of_either_sort(hub: HubServer, tmp_path: Path, git_route: str, gzip_text: bool) -> None:
    commit = hub.add_repo("o/n", FILES)
    hub.world.git_route, hub.world.gzip_text = git_route, gzip_text
    got = official(
        'result = [hf_hub_download("o/n", name) for name in ("README.md", "model.safetensors", "ä ö.txt")]',
        hub.endpoint,
        tmp_path,
    )
    readme, model, odd = (Path(path) for path in got)
    assert readme.read_bytes() == b"# hi\n" * 500
    assert model.read_bytes() == BIG.read()
    assert odd.read_bytes() == b"odd"
    assert model.parent.name == commit
    assert model.resolve().name == BIG.sha256
    assert readme.resolve().name == hub.repo("o/n").commits[commit].files["README.md"].etag
    assert official(SCAN, hub.endpoint, tmp_path) == {"warnings": [], "repos": [["model", "o/n", 3, ["main"]]]}


@pytest.mark.slow
@pytest.mark.parametrize("repo_type", ["model", slow("dataset"), slow("space")])
def test_a_whole_repo_verified_by_the_client_and_then_again(hub: HubServer, tmp_path: Path, repo_type: str) -> None:
    hub.add_repo("o/n", FILES, repo_type=repo_type)
    hub.world.page_size = 4
    script = f'result = snapshot_download("o/n", repo_type="{repo_type}")'
    folder = Path(official(script, hub.endpoint, tmp_path))
    for path, source in FILES.items():
        assert (folder / path).read_bytes() == content_of(source).read()
    assert len([e for e in hub.log if e.file == "@tree"]) == 2
    hub.clear_log()
    assert official(script, hub.endpoint, tmp_path) == str(folder)
    assert [entry.file for entry in hub.log if entry.repo] == ["@revision"]
    scan = official(SCAN, hub.endpoint, tmp_path)
    assert scan == {"warnings": [], "repos": [[repo_type, "o/n", len(FILES), ["main"]]]}
    verified = hf(hub.endpoint, tmp_path, "cache", "verify", "o/n", "--repo-type", repo_type)
    assert verified.returncode == 0, verified.stderr
    assert "6" in verified.stdout


@pytest.mark.slow
def test_verify_sees_what_the_download_does_not(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo("o/n", FILES)
    hub.fault("o/n", "model.safetensors", Fault.corrupt(offset=1000))
    folder = official('result = snapshot_download("o/n")', hub.endpoint, tmp_path)
    assert (Path(folder) / "model.safetensors").read_bytes() != BIG.read()
    verified = hf(hub.endpoint, tmp_path, "cache", "verify", "o/n")
    assert verified.returncode != 0
    assert "model.safetensors" in verified.stdout + verified.stderr


@pytest.mark.slow
def test_branches_pull_requests_and_commits(hub: HubServer, tmp_path: Path) -> None:
    first = hub.add_repo("o/n", {"a.txt": "1"})
    hub.commit("o/n", {"a.txt": "2"}, "refs/pr/7")
    script = f"""
result = [open(hf_hub_download("o/n", "a.txt", revision=r)).read() for r in ("main", "refs/pr/7", "{first}")]
result += [ref.ref for ref in HfApi().list_repo_refs("o/n", include_pull_requests=True).pull_requests]
result += [info.path for info in HfApi().get_paths_info("o/n", ["a.txt", "nope"])]
"""
    assert official(script, hub.endpoint, tmp_path) == ["1", "2", "1", "refs/pr/7", "a.txt"]


@pytest.mark.slow
def test_gated_private_and_missing_raise_the_right_classes(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo("o/gated", FILES, gated=True)
    hub.add_repo("o/private", FILES, private=True)
    hub.add_repo("o/n", FILES)
    hub.add_token("hf_good")
    hub.add_token("hf_other", opens=())
    script = """
def kind(repo, file="config.json", revision=None, token=False):
    try:
        return open(hf_hub_download(repo, file, revision=revision, token=token), "rb").read().decode()
    except Exception as problem:
        return type(problem).__name__
result = [
    kind("o/gated"), kind("o/gated", token="hf_other"), kind("o/gated", token="hf_good"),
    kind("o/private"), kind("o/private", token="hf_other"), kind("o/private", token="hf_good"),
    kind("o/none"), kind("o/n", revision="none"), kind("o/n", "none.txt"),
]
"""
    assert official(script, hub.endpoint, tmp_path) == [
        *("GatedRepoError", "GatedRepoError", '{"a": 1}'),
        *("RepositoryNotFoundError", "RepositoryNotFoundError", '{"a": 1}'),
        *("RepositoryNotFoundError", "RevisionNotFoundError", "RemoteEntryNotFoundError"),
    ]
    assert (tmp_path / "hf/hub/models--o--n/.no_exist").is_dir()


@pytest.mark.slow
def test_the_token_never_reaches_the_cdn(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo("o/gated", FILES, gated=True)
    hub.add_token("hf_good")
    script = 'result = snapshot_download("o/gated")'
    official(script, hub.endpoint, tmp_path, HF_TOKEN="hf_good")
    assert {entry.authorization for entry in hub.requests("hub") if entry.repo} == {True}
    assert {entry.authorization for entry in hub.requests("cdn")} == {False}
    assert len(hub.requests("cdn")) == 2


@pytest.mark.slow
def test_a_moved_repo_is_followed(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo("o/old", FILES)
    hub.move("o/old", "o/new")
    folder = official('result = snapshot_download("o/old")', hub.endpoint, tmp_path)
    assert (Path(folder) / "model.safetensors").read_bytes() == BIG.read()


@pytest.mark.slow
def test_busy_and_early_ends_are_survived_a_reset_is_not(hub: HubServer, tmp_path: Path) -> None:
    content = seeded(13_000_000, 4)
    hub.add_repo("o/n", {"model.safetensors": content})
    hub.fault("o/n", "model.safetensors", Fault.busy(reset_s=1, on="body"), Fault.fin(after=12_000_000).passing(1))
    script = 'result = hf_hub_download("o/n", "model.safetensors")'
    assert Path(official(script, hub.endpoint, tmp_path)).read_bytes() == content.read()
    assert [(entry.status, entry.range) for entry in hub.requests("cdn")] == [
        (429, None),
        (200, None),
        (206, f"bytes={10 * MIB}-"),  # the client keeps whole chunks of 10 MiB only
    ]
    hub.clear_faults()
    hub.fault("o/n", "model.safetensors", Fault.reset(after=1_000_000, times=None))
    assert official(script, hub.endpoint, tmp_path / "other")["error"] == "ReadError"


@pytest.mark.slow
def test_tls_is_trusted_by_ssl_cert_file(tmp_path: Path) -> None:
    script = 'result = open(hf_hub_download("o/n", "config.json")).read()'
    with HubServer(tls=True) as hub:
        hub.add_repo("o/n", FILES)
        assert official(script, hub.endpoint, tmp_path, SSL_CERT_FILE=hub.ca_path) == '{"a": 1}'
        asked = 'result = HfApi().model_info("o/n").sha'
        assert "certificate" in official(asked, hub.endpoint, tmp_path / "other")["text"].lower()
