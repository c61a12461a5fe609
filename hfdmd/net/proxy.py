"""The proxy for a URL: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as huggingface_hub reads them.

Only HTTP proxies are supported, whatever the scheme of the URL (docs/decisions/0025).
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
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

    Failure(INTERNAL), which is final, when the setting names none that can be used: `parse_proxy` says why.
    """
    proxies = _settings()
    if not proxies:
        return None
    scheme, host, port = split_origin(url)
    kind = scheme if proxies.get(scheme) else "all"
    chosen = proxies.get(kind)
    exceptions = filter(None, map(str.strip, proxies.get("no", "").split(",")))
    if not chosen or any(_covers(entry, scheme, host, port) for entry in exceptions):
        return None
    try:
        return parse_proxy(chosen)
    except ValueError as error:
        detail = f"{kind.upper()}_PROXY, which applies to {host}, cannot be used: {error}"
        raise Failure(Reason.INTERNAL, detail) from None


def parse_proxy(setting: str) -> Proxy:
    """The proxy that a setting names: `http://[user:password@]host[:port]`; `http://` may be left out.

    Pure. ValueError otherwise; its text says what is wrong and what to do, without the credentials in the setting.
    """
    setting = setting.strip()
    try:
        parts = urlsplit(setting if "://" in setting else f"http://{setting}")
        port_number = parts.port
        if parts.hostname is not None and re.search(r"\s", parts.hostname):
            raise ValueError
    except ValueError:
        raise ValueError("it is not a URL like http://proxy.example:3128. Correct it and restart hfdmd.") from None
    if parts.scheme.lower() != "http":
        raise ValueError(
            f"it names a proxy of the kind {parts.scheme!r}, but only HTTP proxies are supported. Set it to"
            " http://host:port, or list the Hub's host in NO_PROXY, and restart hfdmd."
        )
    if not parts.hostname:
        raise ValueError("it names no host. Set it to http://host:port and restart hfdmd.")
    authorization = None
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(user.encode()).decode("ascii")
    return Proxy(f"http://{bracketed(parts.hostname)}:{80 if port_number is None else port_number}", authorization)


def login_wanted() -> Failure:
    """The failure of a request that the proxy answered with 407 (Proxy Authentication Required, RFC 9110, 15.5.8)."""
    return Failure(
        Reason.NETWORK,
        "The proxy requires a user name and a password, or refuses those that were sent (407): set HTTP_PROXY and"
        " HTTPS_PROXY to http://user:password@host:port and restart hfdmd.",
    )


def _settings() -> dict[str, str]:
    """The result of urllib's getproxies(), without reading the whole environment at each call."""
    found: dict[str, str] = {}
    for kind in ("http", "https", "all", "no"):
        name = f"{kind}_proxy"
        is_from_request = kind == "http" and "REQUEST_METHOD" in os.environ  # CGI: a header may have set HTTP_PROXY
        if value := os.environ.get(name, "" if is_from_request else os.environ.get(name.upper(), "")).strip():
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
