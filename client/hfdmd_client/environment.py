"""The cache and the Hub that this environment names, compared with those of a daemon.

Reads the variables as `huggingface_hub` does, without loading it. Source: `huggingface_hub.constants`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from hfdmd import __version__
from hfdmd.wire.types import Info

DEFAULT_ENDPOINT = "https://huggingface.co"
_PATHS = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_TOKEN_PATH",
    "HFDMD_CONFIG",
    "HFDMD_SOCKET",
    "HFDMD_STATE_DIR",
    "HUGGINGFACE_HUB_CACHE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
)


@dataclass(frozen=True, slots=True)
class Environment:
    """The Hub's cache on this machine, and the Hub's address."""

    cache_dir: str
    hub_endpoint: str

    @classmethod
    def current(cls, env: Mapping[str, str] = os.environ) -> Environment:
        """From the environment variables."""
        cache = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or os.path.join(hf_home(env), "hub")
        return cls(_path(env, cache), (env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/"))

    def differences(self, info: Info) -> list[str]:
        """A sentence for each difference between the daemon and this environment."""
        found = []
        if not same_folder(info.cache_dir, self.cache_dir):
            found.append(f"the daemon's cache is {info.cache_dir}, your environment says {self.cache_dir}")
        if info.hub_endpoint.rstrip("/") != self.hub_endpoint:
            found.append(f"the daemon's Hub is {info.hub_endpoint}, your environment says {self.hub_endpoint}")
        return found


def hf_home(env: Mapping[str, str] = os.environ) -> str:
    """The folder of the Hub's cache and token: `HF_HOME`, or its default."""
    return _path(env, env.get("HF_HOME") or os.path.join(env.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"))


def absolute_paths(env: Mapping[str, str]) -> dict[str, str]:
    """`env` for a daemon that runs in another folder: relative paths become absolute.

    A value that begins with `~` or a variable does not depend on the folder and stays.
    """
    return {
        name: os.path.abspath(value) if name in _PATHS and value and not value.startswith(("/", "~", "$")) else value
        for name, value in env.items()
    }


def version_difference(info: Info) -> str | None:
    """A sentence when daemon and client are of different releases, otherwise None."""
    if info.version == __version__:
        return None
    return f"the daemon is hfdmd {info.version}, this client {__version__}; `hfdm restart` updates the daemon"


def same_folder(one: str, other: str) -> bool:
    """Whether both paths lead to the same folder, symlinks followed."""
    return os.path.realpath(os.path.expanduser(one)) == os.path.realpath(os.path.expanduser(other))


def _path(env: Mapping[str, str], value: str) -> str:
    """`value` with `~` and variables of `env` expanded, absolute."""
    home = env.get("HOME") or os.path.expanduser("~")
    if value == "~" or value.startswith("~/"):
        value = home + value[1:]
    return os.path.abspath(os.path.expandvars(os.path.expanduser(value)))
