"""Which proxy, as the Hub's own HTTP client decides."""

from __future__ import annotations

import pytest

from hfdmd.failure import Failure
from hfdmd.net.proxy import Proxy, parse_proxy, proxy_for

NAMES = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_none() -> None:
    assert proxy_for("https://huggingface.co/x") is None


def test_a_request_header_cannot_choose_the_proxy_of_a_cgi_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server makes HTTP_PROXY of the header Proxy (CVE-2016-5385); the other variables are its own."""
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    monkeypatch.setenv("HTTP_PROXY", "http://attacker:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert proxy_for("http://a/") is None
    assert proxy_for("https://a/") == Proxy("http://proxy:3128")
    monkeypatch.setenv("http_proxy", "http://own:3128")
    assert proxy_for("http://a/") == Proxy("http://own:3128")
    monkeypatch.delenv("http_proxy")
    monkeypatch.delenv("REQUEST_METHOD")
    assert proxy_for("http://a/") == Proxy("http://attacker:1")


@pytest.mark.parametrize("spell", [str, str.upper])
def test_by_scheme(monkeypatch: pytest.MonkeyPatch, spell: type[str]) -> None:
    monkeypatch.setenv(spell("https_proxy"), "http://proxy:3128")
    assert proxy_for("https://huggingface.co/x") == Proxy("http://proxy:3128")
    assert proxy_for("http://huggingface.co/x") is None


def test_for_all_and_without_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "proxy:3128")
    assert proxy_for("http://a/") == Proxy("http://proxy:3128")


def test_credentials_become_a_header_and_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:s%40fe@proxy")
    found = proxy_for("http://a/")
    assert found == Proxy("http://proxy:80", "Basic bWU6c0BmZQ==")
    assert "bWU6" not in repr(found)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("socks5://proxy:1080", "'socks5'"),
        ("socks5h://me:secret@proxy:1080", "'socks5h'"),
        ("https://proxy:443", "'https'"),
        ("http://me:secret@proxy:99999", "not a URL"),
        ("http://me:secret@the proxy:1", "not a URL"),
        ("http://", "names no host"),
        ("http://[bad", "not a URL"),
    ],
)
def test_other_kinds_are_refused_in_words(monkeypatch: pytest.MonkeyPatch, value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_proxy(value)
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(Failure, match=f"HTTPS_PROXY, which applies to a, .*{why}") as caught:
        proxy_for("https://a/")
    assert caught.value.is_final
    assert "secret" not in caught.value.detail
    monkeypatch.setenv("NO_PROXY", "a")
    assert proxy_for("https://a/") is None


def test_blanks_around_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", " http://proxy:3128 ")
    monkeypatch.setenv("HTTP_PROXY", "  ")
    assert proxy_for("https://a/") == Proxy("http://proxy:3128")
    assert proxy_for("http://a/") is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("huggingface.co", "https://huggingface.co/x", True),
        ("huggingface.co", "https://cdn.huggingface.co/x", True),
        ("huggingface.co", "https://nothuggingface.co/x", False),
        (".huggingface.co", "https://huggingface.co/x", False),
        (".huggingface.co", "https://cdn.huggingface.co/x", True),
        ("*.huggingface.co", "https://cdn.huggingface.co/x", True),
        ("*", "https://anything/", True),
        ("a, huggingface.co ,b", "https://huggingface.co/", True),
        ("localhost", "http://localhost:8000/", True),
        ("127.0.0.1", "http://127.0.0.1:8000/", True),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("::1", "http://[::1]:80/", True),
        ("[::1]", "http://[::1]/", True),
        ("a:8080", "http://a:8080/", True),
        ("a:8080", "http://a/", False),
        ("https://a", "https://a/", True),
        ("https://a", "http://a/", False),
        ("", "http://a/", False),
    ],
)
def test_no_proxy(monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, direct: bool) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (proxy_for(url) is None) == direct
