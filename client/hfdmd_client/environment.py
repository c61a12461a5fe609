"""The cache and the Hub that this environment names, compared with those of a daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hfdmd import __version__
from hfdmd.wire import environment
from hfdmd.wire.types import Info

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
        """From the environment variables. Raises `EnvironmentProblem`."""
        return cls(str(environment.cache_dir(env)), environment.hub_endpoint(env))

    def differences(self, info: Info) -> list[str]:
        """A sentence for each difference between the daemon and this environment."""
        found = []
        if not same_folder(info.cache_dir, self.cache_dir):
            found.append(f"the daemon's cache is {info.cache_dir}, your environment says {self.cache_dir}")
        if info.hub_endpoint.rstrip("/") != self.hub_endpoint:
            found.append(f"the daemon's Hub is {info.hub_endpoint}, your environment says {self.hub_endpoint}")
        return found


def hub_token_for(hub_endpoint: str) -> str | None:
    """This environment's Hub token, for a daemon of the same Hub: a token is not sent to another one.

    None also when it cannot be read: the daemon then asks with its own.
    """
    try:
        return environment.hub_token() if environment.hub_endpoint() == hub_endpoint else None
    except (OSError, environment.EnvironmentProblem):
        return None


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


def warnings(info: Info) -> Iterator[str]:
    """What a user of this daemon would not expect in this environment."""
    try:
        yield from Environment.current().differences(info)
    except environment.EnvironmentProblem as problem:
        yield problem.detail
    if (difference := version_difference(info)) is not None:
        yield difference


def same_folder(one: str, other: str) -> bool:
    """Whether both paths lead to the same folder, symlinks followed."""
    return os.path.realpath(os.path.expanduser(one)) == os.path.realpath(os.path.expanduser(other))
