"""What the environment says about folders, the Hub and its token; daemon and client read it by the same rules.

Source of the Hub's variables, their order and defaults: `huggingface_hub.constants` and `huggingface_hub.utils._auth`.
`huggingface_hub` itself is not imported: that is slow, and its `get_token` may use the network and rewrite token files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from hfdmd.wire.errors import ApiError

DEFAULT_ENDPOINT = "https://huggingface.co"
_TRUE = {"1", "ON", "YES", "TRUE"}


class EnvironmentProblem(ApiError):
    """A variable that is missing or cannot be used. The text names it and says what would be right."""

    code, status, title = "environment", 500, "A variable of the environment cannot be used"


def home(env: Mapping[str, str], instead: str) -> Path:
    """The user's home folder: `$HOME`, else that of the user database.

    Raises `EnvironmentProblem` when there is neither, as in a container with an arbitrary uid; `instead` is the
    variable that makes the home unnecessary.
    """
    if configured := env.get("HOME"):
        return Path(configured)
    try:
        return Path.home()
    except RuntimeError:
        raise EnvironmentProblem(
            f"user {os.getuid()} has no home folder (HOME is not set, and the user database has no entry): set"
            f" {instead} to a folder that this user can write, or set HOME"
        ) from None


def path(env: Mapping[str, str], value: str, instead: str) -> Path:
    """`value` as an absolute path, with `~` and variables expanded. Raises as `home`, for a `~`."""
    if value == "~" or value.startswith("~/"):
        value = f"{home(env, instead)}{value[1:]}"
    return Path(os.path.expandvars(os.path.expanduser(value))).absolute()


def state_dir(env: Mapping[str, str] = os.environ) -> Path:
    """`$HFDMD_STATE_DIR`, else `~/.local/state/hfdmd`. Raises `EnvironmentProblem`."""
    return path(env, env.get("HFDMD_STATE_DIR") or "~/.local/state/hfdmd", "HFDMD_STATE_DIR")


def hf_home(env: Mapping[str, str] = os.environ, instead: str = "HF_HOME") -> Path:
    """The folder of the Hub's cache and token: `$HF_HOME`, or its default. Raises `EnvironmentProblem`."""
    return path(
        env, env.get("HF_HOME") or os.path.join(env.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"), instead
    )


def cache_dir(env: Mapping[str, str] = os.environ) -> Path:
    """The Hub's cache. Raises `EnvironmentProblem`."""
    if configured := env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE"):
        return path(env, configured, "HF_HUB_CACHE")
    return hf_home(env, "HF_HOME or HF_HUB_CACHE") / "hub"


def hub_endpoint(env: Mapping[str, str] = os.environ) -> str:
    """The Hub's URL, without blanks around it and slashes at its end. Raises `EnvironmentProblem`."""
    endpoint = (env.get("HF_ENDPOINT") or "").strip().rstrip("/") or DEFAULT_ENDPOINT
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
        usable = usable and (parts.port is None or parts.port > 0)
    except ValueError:
        parts, usable = urlsplit(""), False
    if parts.username or parts.password:
        raise EnvironmentProblem("HF_ENDPOINT must not carry a user name or password; use HF_TOKEN")
    if not usable or not endpoint.isprintable() or " " in endpoint:
        raise EnvironmentProblem(f"HF_ENDPOINT must be a URL like {DEFAULT_ENDPOINT}, not {endpoint!r}")
    return endpoint


def token_file(env: Mapping[str, str] = os.environ) -> Path | None:
    """The file that the Hub's own client keeps its token in; None when there is no home to look in."""
    try:
        return path(env, env.get("HF_TOKEN_PATH") or str(hf_home(env) / "token"), "HF_TOKEN_PATH")
    except EnvironmentProblem:
        return None


def hub_token(env: Mapping[str, str] = os.environ) -> str | None:
    """The Hub token of this environment: `HF_TOKEN`, else the content of the token file, else None.

    Read anew at each call. None also when `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set. Raises OSError if the file exists
    but cannot be read.
    """
    if is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN", env):
        return None
    if token := _clean(env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN") or ""):
        return token
    file = token_file(env)
    try:
        return None if file is None else _clean(file.read_text(encoding="utf-8", errors="replace"))
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_offline(env: Mapping[str, str] = os.environ) -> bool:
    """Whether the Hub's own client would not use the network."""
    return is_on("HF_HUB_OFFLINE" if env.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE", env)


def is_on(name: str, env: Mapping[str, str] = os.environ) -> bool:
    """Whether a variable of the Hub's client that is on or off, such as `HF_HUB_DISABLE_XET`, is on."""
    return env.get(name, "").upper() in _TRUE


def _clean(token: str) -> str | None:
    return token.replace("\r", "").replace("\n", "").strip() or None
