"""The token is read from where `huggingface_hub` reads it, at each call."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfdmd.hub.token import current_token


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
    assert current_token() is None


def test_the_file_is_read_anew_each_time(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_one\n")
    assert current_token() == "hf_one"
    (tmp_path / "token").write_text("hf_two")
    assert current_token() == "hf_two"
    (tmp_path / "token").unlink()
    assert current_token() is None


def test_the_variable_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("hf_file")
    monkeypatch.setenv("HF_TOKEN", " hf_env\r\n")
    assert current_token() == "hf_env"


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").write_text("hf_elsewhere")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "elsewhere"))
    assert current_token() == "hf_elsewhere"
    monkeypatch.delenv("HF_TOKEN_PATH")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "huggingface").mkdir()
    (tmp_path / "huggingface" / "token").write_text("hf_xdg")
    assert current_token() == "hf_xdg"


def test_not_sent_when_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_env")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert current_token() is None
