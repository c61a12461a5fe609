"""Where one file is, and whether its server sends ranges."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from hfdmd.net.target import Target


class Location:
    """The URL of one file, where its redirects led, and what is known of ranges. `locate` asks for a fresh URL."""

    def __init__(self, locate: Callable[[], Awaitable[Target]]) -> None:
        self._locate = locate
        self._locating = asyncio.Lock()
        self._target: Target | None = None
        self._direct: tuple[str, Mapping[str, str]] | None = None
        self.on_located: Callable[[], None] | None = None
        self.generation = 0
        """Rises with every `forget`."""
        self.ranged = True
        """Whether to request ranges."""
        self.has_ranged = False
        """Whether a range of this file was ever served."""

    @property
    def url(self) -> str | None:
        """The URL that the next request goes to, if it is known."""
        if self._direct is not None:
            return self._direct[0]
        return None if self._target is None else self._target.url

    @property
    def was_redirected(self) -> bool:
        return self._direct is not None and self._target is not None and self._direct[0] != self._target.url

    async def get(self) -> tuple[str, Mapping[str, str]]:
        """URL and headers for the next request. The Hub is asked once for all callers that wait. Raises Failure."""
        async with self._locating:
            if self._target is None:
                self._target = await self._locate()
                if self.on_located is not None:
                    self.on_located()
            return self._direct or (self._target.url, self._target.headers)

    def remember_direct(self, url: str, headers: Mapping[str, str], generation: int) -> None:
        """Redirects led to `url`; ignored if the location was forgotten after the request started."""
        if generation == self.generation:
            self._direct = (url, headers)

    def forget(self, *, redirect_only: bool = False) -> None:
        """Ask for a new URL before the next request, or only follow the redirects again."""
        self.generation += 1
        self._direct = None
        if not redirect_only:
            self._target = None
