"""Whose URL it is, and where redirects may lead."""

from __future__ import annotations

import pytest

from hfdmd.failure import Failure
from hfdmd.net.origin import RedirectPolicy, is_internal, origin
from hfdmd.wire.types import Reason

HUB = "https://huggingface.co"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Hugging.Face/x", "https://hugging.face:443"),
        ("http://a:8080/x?y", "http://a:8080"),
        ("HTTP://a", "http://a:80"),
        ("http://[::1]/x", "http://[::1]:80"),
        ("https://user:secret@a/x", "https://a:443"),
    ],
)
def test_origin(url: str, expected: str) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize("url", ["ftp://a/x", "/x", "http://", "http://a:99999/", "file:///etc/passwd", ""])
def test_what_has_no_origin(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        origin(url)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "a.localhost",
        "LOCALHOST.",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
    ],
)
def test_internal_addresses_in_every_spelling(host: str) -> None:
    assert is_internal(host)
    spelled = f"[{host}]" if ":" in host else host
    with pytest.raises(Failure) as refused:
        RedirectPolicy(HUB).next_url(f"{HUB}/x", f"https://{spelled}/secret")
    assert refused.value.reason is Reason.HUB_UNAVAILABLE


@pytest.mark.parametrize("host", ["huggingface.co", "8.8.8.8", "2606:4700::1111", "localhost.example.com"])
def test_public_hosts(host: str) -> None:
    assert not is_internal(host)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://cdn.example/x?sig=a%2Fb#part", "https://cdn.example/x?sig=a%2Fb"),
        ("/api/resolve-cache/x", f"{HUB}/api/resolve-cache/x"),
        ("other", f"{HUB}/owner/other"),
        ("//cdn.example/x", "https://cdn.example/x"),
        ("HTTPS://cdn.example/ü b", "https://cdn.example/%C3%BC%20b"),
        (b"/\xe9.bin".decode(errors="surrogateescape"), f"{HUB}/%E9.bin"),
    ],
)
def test_follows(location: str, expected: str) -> None:
    assert RedirectPolicy(HUB).next_url(f"{HUB}/owner/name", location) == expected


@pytest.mark.parametrize(
    "location",
    [
        "http://cdn.example/x",
        "file:///etc/passwd",
        "ftp://cdn.example/x",
        "javascript:alert(1)",
        "https://user:secret@cdn.example/x",
        "https://cdn.example\\@evil/x",
        "https://cdn.example/\r\nX: y",
        "https://127%2e0.0.1/x",
        "https://１２７.0.0.1/x",
        "https://[fe80::1%25eth0]/x",
        "https://cdn.example:99999/x",
    ],
)
def test_refuses(location: str) -> None:
    with pytest.raises(Failure) as refused:
        RedirectPolicy(HUB).next_url(f"{HUB}/owner/name", location)
    assert refused.value.reason is Reason.HUB_UNAVAILABLE
    assert "secret" not in refused.value.detail


def test_a_hub_on_this_machine_may_lead_to_this_machine_but_not_to_the_credentials_service() -> None:
    policy = RedirectPolicy("http://127.0.0.1:8000")
    assert policy.next_url("http://127.0.0.1:8000/x", "http://127.0.0.1:9000/y") == "http://127.0.0.1:9000/y"
    with pytest.raises(Failure):
        policy.next_url("http://127.0.0.1:8000/x", "http://169.254.169.254/latest")
    assert policy.may_connect("cdn.example", "127.0.0.1")


def test_a_name_that_points_inwards_is_not_connected_to() -> None:
    policy = RedirectPolicy(HUB)
    assert policy.may_connect("cdn.example", "8.8.8.8")
    assert policy.may_connect("cdn.example", "10.0.0.1")
    assert not policy.may_connect("cdn.example", "127.0.0.1")
    assert not policy.may_connect("cdn.example", "169.254.169.254")
    assert not policy.may_connect("cdn.example", "::ffff:127.0.0.1")
    assert not policy.may_connect("cdn.example", "fe80::1%eth0")


def test_the_hubs_own_name_may_lead_anywhere_and_then_its_redirects_may() -> None:
    """As the name of this machine does, or of a mirror in the same network."""
    policy = RedirectPolicy("http://mirror.example:8080")
    with pytest.raises(Failure):
        policy.next_url("http://mirror.example:8080/x", "http://10.0.0.6:9000/y")
    assert not policy.may_connect("cdn.example", "127.0.1.1")
    assert policy.may_connect("mirror.example", "127.0.1.1")
    assert policy.next_url("http://mirror.example:8080/x", "http://10.0.0.6:9000/y") == "http://10.0.0.6:9000/y"


def test_a_hub_that_is_outside_leads_nowhere_inside() -> None:
    policy = RedirectPolicy(HUB)
    assert policy.may_connect("huggingface.co", "8.8.8.8")
    with pytest.raises(Failure):
        policy.next_url(f"{HUB}/x", "https://10.0.0.6:9000/y")
