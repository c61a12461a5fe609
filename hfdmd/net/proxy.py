"""The proxy for a URL: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as huggingface_hub reads them."""

from __future__ import annotations

import base64
import ipaddress
import os
import sys
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from hfdmd.failure import Failure
from hfdmd.net.origin import bracketed, split_origin
from hfdmd.wire.types import Reason


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: `url` (`http://host:port`, no credentials) and the value of `Proxy-Authorization`."""

    url: str
    authorization: str | None = field(default=None, repr=False)


def proxy_for(url: str) -> Proxy | None:
    """The proxy for `url`, read from the environment at each call (on macOS also from the system's settings).

    Failure(NETWORK) when the variable names a proxy of a kind that is not supported (SOCKS, TLS to the proxy).
    """
    proxies = _settings()
    if not proxies:
        return None
    scheme, host, port = split_origin(url)
    chosen = proxies.get(scheme) or proxies.get("all")
    exceptions = filter(None, map(str.strip, proxies.get("no", "").split(",")))
    if not chosen or any(_covers(entry, scheme, host, port) for entry in exceptions):
        return None
    unsupported = f"unsupported proxy for {scheme}: only http://host:port is supported"
    try:
        parts = urlsplit(chosen if "://" in chosen else f"http://{chosen}")
        port_number = parts.port
    except ValueError:
        raise Failure(Reason.NETWORK, unsupported) from None
    if parts.scheme.lower() != "http" or not parts.hostname:
        raise Failure(Reason.NETWORK, unsupported)
    authorization = None
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(user.encode()).decode("ascii")
    return Proxy(f"http://{bracketed(parts.hostname)}:{80 if port_number is None else port_number}", authorization)


def _settings() -> dict[str, str]:
    """The result of urllib's getproxies(), without reading the whole environment at each call."""
    found: dict[str, str] = {}
    for kind in ("http", "https", "all", "no"):
        name = f"{kind}_proxy"
        is_from_request = kind == "http" and "REQUEST_METHOD" in os.environ  # CGI: a header may have set HTTP_PROXY
        if value := os.environ.get(name, "" if is_from_request else os.environ.get(name.upper(), "")):
            found[kind] = value
    return found if found or sys.platform == "linux" else getproxies()


def _covers(entry: str, scheme: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY covers the target, by httpx's rules (which are curl's, plus `scheme://host:port`)."""
    if entry == "*":
        return True
    exact = "://" in entry
    if exact:
        wanted, _, entry = entry.partition("://")
        if wanted.lower() not in ("all", scheme):
            return False
        entry = entry.rstrip("/")
    entry = entry.lower()
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    name, bracket, wanted_port = entry.rpartition(":") if not entry.endswith("]") else (entry, "", "")
    if bracket and wanted_port.isdigit():
        if int(wanted_port) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    entry = entry.removeprefix("*")
    if entry.startswith("."):
        return host.endswith(entry)
    return host == entry or (not exact and entry != "localhost" and host.endswith("." + entry))
