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
from hfdmd.net.origin import split_origin
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
    if not chosen or _bypassed(proxies.get("no", ""), scheme, host, port):
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
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Proxy(f"http://{name}:{80 if port_number is None else port_number}", authorization)


def _settings() -> dict[str, str]:
    """The result of urllib's getproxies(), without reading the whole environment at each call."""
    found: dict[str, str] = {}
    for kind in ("http", "https", "all", "no"):
        name = f"{kind}_proxy"
        upper = (
            "" if kind == "http" and "REQUEST_METHOD" in os.environ else name.upper()
        )  # CGI: it may be set by a request header
        if value := os.environ.get(name, os.environ.get(upper, "")):
            found[kind] = value
    return found if found or sys.platform == "linux" else getproxies()


def _bypassed(no_proxy: str, scheme: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY covers the target, by httpx's rules (which are curl's, plus `scheme://host:port`)."""
    return any(_covers(entry.strip(), scheme, host, port) for entry in no_proxy.split(",") if entry.strip())


def _covers(entry: str, scheme: str, host: str, port: int) -> bool:
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
    if entry.startswith("*."):
        return host.endswith(entry[1:])
    if entry.startswith("*"):
        entry = entry[1:]
    if entry.startswith("."):
        return host.endswith(entry)
    return host == entry or (not exact and entry != "localhost" and host.endswith("." + entry))
