"""Where a file's bytes are: origins of URLs, and which redirects may be followed."""

from __future__ import annotations

import ipaddress
import math
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, urljoin, urlsplit

from hfdmd.failure import Failure
from hfdmd.wire.types import Reason

MAX_REDIRECTS = 20
"""The limit of huggingface_hub's HTTP client."""

DEFAULT_PORTS = {"http": 80, "https": 443}

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]")
_BEFORE_PATH = re.compile(r"[^/?#]*//[^/?#]*")
_HOST = re.compile(r"[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\]")
_KEEP = "!#$%&'()*+,/:;=?@[]~"  # not percent-encoded in a URL; everything else is

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """The current URL of a file. `headers` (the Hub token) are sent to the URL's own origin only.

    The repr shows neither the URL, which may be signed, nor the headers.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    expires_at: float = math.inf
    """From when on the headers are refused, in seconds since the epoch."""


def origin(url: str) -> str:
    """`scheme://host:port` of an http(s) URL, lower case, the port always written. ValueError for anything else."""
    scheme, host, port = split_origin(url)
    return f"{scheme}://{bracketed(host)}:{port}"


def split_origin(url: str) -> tuple[str, str, int]:
    """Scheme, host (an IPv6 address without brackets) and port of an http(s) URL; ValueError for anything else."""
    return _split_origin(_before_path(url))


def host_of(url: str) -> str:
    """The host of an http(s) URL, for texts: an IPv6 address without brackets. ValueError for anything else."""
    return split_origin(url)[1]


def host_field(url: str) -> str:
    """The `Host` header for an http(s) URL: the port only where it is not the scheme's own. Source: RFC 9110, 7.2."""
    scheme, host, port = split_origin(url)
    return bracketed(host) if port == DEFAULT_PORTS[scheme] else f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """The host as it is written in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def request_target(url: str) -> str:
    """Path and query of an http(s) URL, for a request line. Source: RFC 9112, 3.2.1."""
    rest = url[len(_before_path(url)) :].partition("#")[0]
    return rest if rest.startswith("/") else f"/{rest}"


def _before_path(url: str) -> str:
    found = _BEFORE_PATH.match(url)
    return url if found is None else found[0]


@lru_cache(maxsize=256)
def _split_origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("not an http or https URL with a host")
    port = parts.port  # ValueError when it is not a number or too large
    return scheme, parts.hostname.lower(), DEFAULT_PORTS[scheme] if port is None else port


def literal_address(host: str) -> IPAddress | None:
    """The address that `host` spells, in any form that a C library reads (octal, hex, one number), else None."""
    bare = host.rstrip(".")
    try:
        return _unwrapped(ipaddress.ip_address(bare))
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(bare))
    except (OSError, UnicodeError):
        return None


def is_internal(host: str) -> bool:
    """Whether `host` names this machine or an address that is not of the public internet. Names are not resolved."""
    bare = host.rstrip(".").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    address = literal_address(bare)
    return address is not None and (not address.is_global or address.is_multicast)


def is_link_local(host: str) -> bool:
    """Whether `host` is a link-local address, where clouds run their credentials service."""
    address = literal_address(host)
    return address is not None and address.is_link_local


def _unwrapped(address: IPAddress) -> IPAddress:
    """The IPv4 address that is embedded in an IPv6 address: mapped, 6to4, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


class RedirectPolicy:
    """Where redirects may lead, for a daemon whose Hub is at `hub_endpoint`.

    A Hub on the public internet may not redirect to this machine or its network. A Hub that is there itself (a mirror,
    a test) may, also when only name resolution shows that it is. Link-local addresses are open only to a Hub on one.
    """

    def __init__(self, hub_endpoint: str) -> None:
        self._hub_host = host = host_of(hub_endpoint)
        self._internal_allowed = is_internal(host)
        self._link_local_allowed = is_link_local(host)

    def next_url(self, url: str, location: str) -> str:
        """The absolute URL that a redirect from `url` to `location` leads to, without fragment, ASCII only.

        Bytes of `location` that are not UTF-8 are surrogates in it (PEP 383); they are percent-encoded unchanged.
        Failure(HUB_UNAVAILABLE) when it must not be followed.
        """
        if _UNPRINTABLE.search(location):
            raise _refused("its URL contains control characters or backslashes")
        target = urljoin(url, location.strip())
        try:
            scheme, host, _ = split_origin(target)
            parts = urlsplit(target)
        except ValueError:
            raise _refused("it is not an http or https URL") from None
        if parts.username is not None or parts.password is not None:
            raise _refused("its URL contains credentials")
        if not _HOST.fullmatch(bracketed(host)):
            raise _refused("its host name is malformed")
        if scheme == "http" and urlsplit(url).scheme.lower() == "https":
            raise _refused("it leads from https to http")
        if is_link_local(host) and not self._link_local_allowed:
            raise _refused("it leads to a link-local address")
        if is_internal(host) and not self._internal_allowed:
            raise _refused("it leads to an address inside this machine or its network")
        return quote(parts._replace(scheme=scheme, fragment="").geturl(), safe=_KEEP, errors="surrogateescape")

    def may_connect(self, host: str, address: str) -> bool:
        """Whether an address that `host` resolved to may be connected to (guards against DNS rebinding).

        Private networks are allowed, because a company's DNS may return them; this machine and link-local addresses
        are not. The Hub's own name may resolve to any address: the user chose it.
        """
        parsed = literal_address(address.partition("%")[0])
        if parsed is None:
            return False
        if host == self._hub_host:
            self._internal_allowed = self._internal_allowed or is_internal(str(parsed))
            return True
        if parsed.is_link_local:
            return self._link_local_allowed
        if parsed.is_loopback or parsed.is_unspecified:
            return self._internal_allowed
        return True


def _refused(why: str) -> Failure:
    return Failure(Reason.HUB_UNAVAILABLE, f"a redirect was not followed: {why}")
