"""The Hub token of the user who runs the daemon. Read anew at each call, without a request.

Source of the order and the paths: `huggingface_hub.utils._auth` and `constants`. `huggingface_hub.get_token` itself is
not used: it may use the network (OIDC, OAuth refresh) and rewrite token files.
"""

from __future__ import annotations

import os
from pathlib import Path

_TRUE = {"1", "ON", "YES", "TRUE"}


def current_token() -> str | None:
    """`HF_TOKEN`, else the content of the Hub client's token file, else None.

    None also when `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set. Raises OSError if the file exists but is unreadable.
    """
    env = os.environ
    if env.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in _TRUE:
        return None
    if token := _clean(env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN") or ""):
        return token
    try:
        return _clean(token_path().read_text(encoding="utf-8", errors="replace"))
    except (FileNotFoundError, NotADirectoryError):
        return None


def token_path() -> Path:
    """The file that `hf auth login` writes the token to."""
    env = os.environ
    cache_home = env.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    home = env.get("HF_HOME") or os.path.join(cache_home, "huggingface")
    chosen = env.get("HF_TOKEN_PATH") or os.path.join(home, "token")
    return Path(os.path.expandvars(os.path.expanduser(chosen)))


def _clean(token: str) -> str | None:
    return token.replace("\r", "").replace("\n", "").strip() or None
