"""What of the installing shell's environment a user's service needs too.

A service manager reads no shell profile: without this the daemon would fill another cache than the one that the
person's programs read. Secrets are not copied; the Hub's token has its own file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from hfdmd_client.environment import absolute_paths
from hfdmd_client.service.templates import quote

CARRIED = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_ENDPOINT",
    "HF_TOKEN_PATH",
    "HFDMD_CONFIG",
    "HFDMD_STATE_DIR",
    "XDG_CACHE_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)


def carried(env: Mapping[str, str] = os.environ, say: Callable[[str], None] = lambda _: None) -> dict[str, str]:
    """The variables that the service gets, paths made absolute; `say` hears what is left out and why."""
    kept = {}
    absolute = absolute_paths(env)
    for name in CARRIED:
        value = absolute.get(name)
        if not value:
            continue
        if name.upper().endswith("_PROXY") and "@" in value:
            say(f"{name} carries a password, so it is not copied into the service; docs/service.md says where it goes")
        elif name == "HF_ENDPOINT" and "@" in value:
            say("HF_ENDPOINT carries a password, so it is not copied into the service, which takes none in a URL")
        else:
            kept[name] = value
    if env.get("HF_TOKEN"):
        say("HF_TOKEN is not copied into the service: store the token with 'hf auth login', which writes its file")
    return kept


def drop_in(variables: Mapping[str, str], mark: str) -> str | None:
    """A systemd drop-in with these variables; None when there are none."""
    if not variables:
        return None
    lines = [f"# {mark}", "[Service]", *(f"Environment={quote(f'{n}={v}')}" for n, v in variables.items())]
    return "\n".join(lines) + "\n"
