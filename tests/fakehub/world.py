"""State that the test Hub's two servers share: repos, tokens, options, faults, the request log."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import quote

from tests.fakehub.cas import Cas
from tests.fakehub.fault import Faults
from tests.fakehub.journal import Request
from tests.fakehub.pace import Pace
from tests.fakehub.repo import File, Repo

GIT_ROUTES = ("direct", "resolve-cache")


@dataclass
class World:
    """The Hub's state. Changed by the test's thread, read by the server's: plain assignments only."""

    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    """By (kind, name), kind being the plural: models, datasets, spaces."""
    moved: dict[tuple[str, str], str] = field(default_factory=dict)
    """Old (kind, name) to new name: answered with 307."""
    tokens: dict[str, frozenset[str] | None] = field(default_factory=dict)
    """Token to the names of the gated and private repos it gives access to (None: all)."""
    faults: Faults = field(default_factory=Faults)
    log: list[Request] = field(default_factory=list)

    page_size: int = 1000
    """Entries per listing page."""
    url_ttl_s: float = 3600.0
    """Lifetime of a signed CDN URL."""
    git_route: str = "direct"
    """How git files are served: "direct" (200), or "resolve-cache" (307 to another path of the Hub, as in reality)."""
    storage_on_hub: bool = False
    """Whether the Hub itself stands in for the CDN, below /storage/, as in a gateway for both."""
    gzip_text: bool = False
    """Whether git files are sent gzip-coded and chunked to clients that accept it."""
    real_face: bool = False
    """Whether all answers have the headers of the real Hub and its CDN (`tests.fakehub.real_face`)."""
    latency_s: float = 0.0
    """Delay before every response."""
    total: Pace = field(default_factory=Pace)
    per_connection_bytes_per_s: float = 0
    quota_requests: int = 0
    """Requests that the Hub (not the CDN) answers within `quota_window_s`, before 429; 0: no limit."""
    quota_window_s: float = 300.0
    cas_url: str | None = None
    """The CAS URL in answers of the Xet token routes; None: the routes are 404."""
    cas: Cas | None = None

    hub_url: str = ""
    cdn_url: str = ""
    xorb_url: str = ""
    secret: bytes = b"test hub"
    _recent: deque[float] = field(default_factory=deque)

    def signed_url(self, repo: Repo, path: str, file: File) -> str:
        """A signed CDN URL for the file, valid for `url_ttl_s`."""
        expires_s = f"{time.time() + self.url_ttl_s:.3f}"
        blob = f"/{repo.kind}/{repo.name}/{file.etag}"
        name = quote(path.rpartition("/")[2])
        signature = self.signature(blob, path, expires_s)
        storage = f"{self.hub_url}/storage" if self.storage_on_hub else self.cdn_url
        return (
            f"{storage}{quote(blob)}?file={quote(path, safe='')}&X-Xet-Cas-Uid=public&response-content-disposition="
            f"inline%3B+filename*%3DUTF-8%27%27{name}%3B+filename%3D%22{name}%22%3B&user_id=public"
            f"&Expires={expires_s}&Policy=eyJTdGF0ZW1lbnQi~-__&Signature={signature}&Key-Pair-Id=K2L8F4GPSG1IFC"
        )

    def signature(self, blob: str, path: str, expires_s: str) -> str:
        """The signature of a CDN URL."""
        return hmac.new(self.secret, f"{blob}\n{path}\n{expires_s}".encode(), hashlib.sha256).hexdigest()

    def quota_left(self) -> tuple[int, float] | None:
        """Counts one request; returns requests left and seconds left in the window. None: no limit."""
        if self.quota_requests <= 0:
            return None
        now_s = time.monotonic()
        while self._recent and self._recent[0] <= now_s - self.quota_window_s:
            self._recent.popleft()
        if len(self._recent) < self.quota_requests:
            self._recent.append(now_s)
            return self.quota_requests - len(self._recent), self._recent[0] + self.quota_window_s - now_s
        return -1, self._recent[0] + self.quota_window_s - now_s
