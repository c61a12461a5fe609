"""Tokens for the store of Xet (CAS): one per repo commit and caller, kept until a minute before it expires.

Source: hub-docs `docs/xet/auth.md`, and `XetBlob.ts` of huggingface.js.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from hfdmd.failure import Failure
from hfdmd.hub import urls
from hfdmd.hub.refusals import RequestContext
from hfdmd.hub.session import HubSession
from hfdmd.net.origin import Target
from hfdmd.record import FileSpec, RepoSpec
from hfdmd.wire.types import MALFORMED, Reason

EARLY_S = 60.0
"""A token is not used in the last minute before it expires."""
MAX_TOKENS = 1000

_Key = tuple[str, str, str, str]


class _TokenAnswer(msgspec.Struct, rename="camel"):
    access_token: Annotated[str, Meta(min_length=1, max_length=16 << 10, pattern=r"^[!-~]+$")]
    exp: Annotated[int, Meta(ge=0)]
    cas_url: Annotated[str, Meta(min_length=1, max_length=1024)]


class XetTokens:
    """One per daemon, in the event loop."""

    def __init__(self) -> None:
        self._known: dict[_Key, Target] = {}
        self._asking: dict[_Key, asyncio.Task[Target]] = {}

    async def get(
        self, session: HubSession, spec: FileSpec | RepoSpec, commit: str, refused: Target | None = None
    ) -> Target:
        """The CAS's URL and a token for a commit of a repo; not the `refused` one. Raises `Failure`.

        `session` asks the Hub for one, with the token of the daemon or of a caller.

        Callers that wait for the same token share a request.
        """
        auth = session.auth(session.endpoint)
        key = (spec.repo_type.value, spec.model_repo, commit, auth.get("Authorization", ""))
        known = self._known.get(key)
        if known is not None and known is not refused and time.time() < known.expires_at - EARLY_S:
            return known
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(session, spec, commit))
            task.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _asked(self, key: _Key, task: asyncio.Task[Target]) -> None:
        del self._asking[key]
        if not task.cancelled() and task.exception() is None:
            self._known.pop(key, None)
            if len(self._known) >= MAX_TOKENS:
                del self._known[next(iter(self._known))]
            self._known[key] = task.result()

    async def _ask(self, session: HubSession, spec: FileSpec | RepoSpec, commit: str) -> Target:
        repo = spec.repo if isinstance(spec, FileSpec) else spec
        context = RequestContext(session.endpoint, repo, commit, pinned=True)
        body, _ = await session.body("GET", urls.xet_token_url(session.endpoint, repo, commit), context)
        try:
            answer = msgspec.json.decode(body, type=_TokenAnswer)
        except MALFORMED:
            raise Failure(
                Reason.HUB_UNAVAILABLE, f"The Hub at {context.host} gave no valid token for Xet for {context.at}."
            ) from None
        try:
            url = session.policy.next_url(session.endpoint, answer.cas_url)
        except Failure as failure:
            detail = f"The Hub at {context.host} names a store of Xet that is not used: {failure.detail}."
            raise Failure(Reason.HUB_UNAVAILABLE, detail) from None
        if urlsplit(url).query:
            raise Failure(Reason.HUB_UNAVAILABLE, f"The Hub at {context.host} names no valid store of Xet.")
        # a new token that has expired means that this machine's clock is wrong: the CAS refuses it in time
        expires_at = answer.exp if answer.exp > time.time() else math.inf
        return Target(url, {"Authorization": f"Bearer {answer.access_token}"}, expires_at)
