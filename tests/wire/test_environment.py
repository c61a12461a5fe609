"""Folders, the Hub and its token are read as `huggingface_hub` reads them; a home is needed only where one is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hfdmd.wire import endpoint, environment
from hfdmd.wire.environment import EnvironmentProblem, hub_token


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_TOKEN_PATH",
        "XDG_CACHE_HOME",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))


def test_none_without_any() -> None:
    assert hub_token() is None


def test_the_file_is_read_anew_each_time(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_one\n")
    assert hub_token() == "hf_one"
    (tmp_path / "token").write_text("hf_two")
    assert hub_token() == "hf_two"
    (tmp_path / "token").unlink()
    assert hub_token() is None


def test_the_variable_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("hf_file")
    monkeypatch.setenv("HF_TOKEN", " hf_env\r\n")
    assert hub_token() == "hf_env"


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").write_text("hf_elsewhere")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "elsewhere"))
    assert hub_token() == "hf_elsewhere"
    monkeypatch.delenv("HF_TOKEN_PATH")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "huggingface").mkdir()
    (tmp_path / "huggingface" / "token").write_text("hf_xdg")
    assert hub_token() == "hf_xdg"


def test_not_sent_when_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_env")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert hub_token() is None


NAMED = {"HF_HOME": "/hf", "HFDMD_STATE_DIR": "/state", "HFDMD_SOCKET": "/run/s"}


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A uid without an entry in the user database, as containers have."""
    monkeypatch.delenv("HOME", raising=False)

    def missing(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", missing)


@pytest.mark.usefixtures("no_home")
def test_without_a_home_everything_that_is_named_works() -> None:
    assert environment.state_dir(NAMED) == Path("/state")
    assert environment.cache_dir(NAMED) == Path("/hf/hub")
    assert endpoint.default_socket(NAMED) == Path("/run/s")
    assert [one.socket for one in endpoint.daemon_addresses({"XDG_RUNTIME_DIR": "/run/u"})] == [
        Path("/run/u/hfdmd.sock"),
        endpoint.SYSTEM_SOCKET,
    ]
    assert environment.token_file({}) is None
    assert hub_token({}) is None


@pytest.mark.usefixtures("no_home")
@pytest.mark.parametrize(
    ("ask", "variable"),
    [
        (environment.state_dir, "HFDMD_STATE_DIR"),
        (environment.cache_dir, "HF_HUB_CACHE"),
        (environment.hf_home, "HF_HOME"),
    ],
)
def test_without_a_home_the_variable_that_helps_is_named(ask: Callable[[dict[str, str]], Path], variable: str) -> None:
    with pytest.raises(EnvironmentProblem, match=variable):
        ask({})


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("http://hub:1 ", "http://hub:1"),
        (" http://hub:1/ ", "http://hub:1"),
        ("http://hub:1//\n", "http://hub:1"),
        ("  ", "https://huggingface.co"),
    ],
)
def test_blanks_around_the_endpoint_are_no_part_of_it(written: str, read: str) -> None:
    assert environment.hub_endpoint({"HF_ENDPOINT": written}) == read


@pytest.mark.parametrize("written", ["http://h b", "'http://hub'", "hub", "http://hub:x", "http://hub\x01", "http://"])
def test_an_endpoint_that_is_no_url_is_named(written: str) -> None:
    with pytest.raises(EnvironmentProblem, match="HF_ENDPOINT"):
        environment.hub_endpoint({"HF_ENDPOINT": written})
