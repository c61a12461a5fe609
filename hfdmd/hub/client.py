"""The Hub's API: resolves a file at a revision, locates its bytes, lists a repo."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from hfdmd.digest import is_git_blob, pointer_failure
from hfdmd.failure import Failure
from hfdmd.hub import urls
from hfdmd.hub.listing import Listing, find_entry
from hfdmd.hub.metadata import Metadata, contradiction, is_pointer_of, not_a_hub, read_metadata
from hfdmd.hub.refusals import RequestContext
from hfdmd.hub.session import HubSession, ResponseHead
from hfdmd.hub.xet_tokens import XetTokens
from hfdmd.net.origin import RedirectPolicy, Target
from hfdmd.net.retry_after import RetryAfter
from hfdmd.record import NO_ETAG, Entry, FileSpec, RepoSpec, Source, is_commit
from hfdmd.wire.environment import hub_token
from hfdmd.wire.types import MALFORMED, Reason, RepoType

_AUTH_MAX_AGE_S = 1.0


class _Revision(msgspec.Struct):
    sha: str


class _RecentAuth:
    """The header with the daemon's own token, read anew once a second."""

    def __init__(self, session: HubSession) -> None:
        self._session = session
        self._auth: dict[str, str] = {}
        self._read_at = -math.inf

    def of(self, url: str) -> dict[str, str]:
        now = time.monotonic()
        if now - self._read_at > _AUTH_MAX_AGE_S:
            self._auth = self._session.auth(url)
            self._read_at = now
        return self._auth


class Hub:
    """One per daemon, used in the event loop. Connections are opened with the first request.

    `allow_unverified` returns whether files without a digest may be downloaded.
    """

    def __init__(
        self,
        endpoint: str,
        retry_after: RetryAfter,
        policy: RedirectPolicy,
        user_agent: str,
        *,
        token: Callable[[], str | None] = hub_token,
        allow_unverified: Callable[[], bool] = lambda: False,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._session = HubSession(self.endpoint, retry_after, policy, user_agent, token)
        self._allow_unverified = allow_unverified
        self._xet_tokens = XetTokens()
        self._own_auth = _RecentAuth(self._session)
        self._caller_token: Callable[[], str | None] = lambda: None

    def as_caller(self, token: Callable[[], str | None]) -> Hub:
        """This Hub, asked with the token of a caller; with the daemon's own while `token` returns None."""
        hub = copy.copy(self)
        hub._session = self._session.as_caller(token)
        hub._caller_token = token
        return hub

    async def resolve(self, spec: FileSpec) -> tuple[Source, Target | None]:
        """The file at the commit that its revision points at now, and the URL of its bytes.

        No URL when the Hub does not serve the file over HTTP. One request; more where the headers have no usable
        commit, digest or size. Raises `Failure`.
        """
        head, metadata, context = await self._head(spec, None)
        told_at = time.time()
        if metadata.commit is None:
            source = await self._from_listing(spec, context, told_at=told_at)
            return source, self.direct(spec, source)
        source = await self._complete(spec, metadata, metadata.commit, context, told_at=told_at)
        return source, None if metadata.needs_xet else self._target(head)

    async def locate(self, spec: FileSpec, source: Source) -> Target:
        """A fresh URL of the bytes of `source`.

        Raises `Failure`: hash_mismatch when the file has changed, xet_required when there is no such URL.
        """
        head, metadata, context = await self._head(spec, source.commit)
        difference = contradiction(source, metadata)
        if metadata.commit is None and (difference is not None or source.digest is None):
            raise not_a_hub(context)
        if is_pointer_of(source, metadata):
            raise pointer_failure(context.host)
        if difference is not None:
            raise Failure(Reason.HASH_MISMATCH, f"{context.path} of {context.at} has changed: {difference}.")
        if metadata.needs_xet:
            raise Failure(
                Reason.XET_REQUIRED,
                f"{spec.model_repo}: the Hub at {context.host} serves {context.path} through Xet only, not over HTTP.",
            )
        return self._target(head)

    async def is_in_lfs(self, spec: FileSpec, commit: str) -> bool:
        """Whether the listing says that git has only a pointer of the file. Raises `Failure` if it cannot be asked."""
        entry = await self._find_in_listing(spec, commit, RequestContext(self.endpoint, spec, commit, pinned=True))
        return entry is not None and not is_git_blob(entry.source.digest)

    async def xet_hash(self, spec: FileSpec, commit: str) -> str | None:
        """The Xet hash of a file at a commit; None when it is not in Xet. Raises `Failure`."""
        context = RequestContext(self.endpoint, spec, commit, pinned=True)
        entry = await self._find_in_listing(spec, commit, context)
        return None if entry is None else entry.source.xet_hash

    def direct(self, spec: FileSpec, source: Source) -> Target:
        """The Hub's own URL of the file at the pinned commit, without a request. It may redirect.

        The token's header is up to a second old, so that the token file is not read for each small file.
        """
        url = urls.file_url(self.endpoint, spec, source.commit)
        return Target(url, self._own_auth.of(url) if self._caller_token() is None else self._session.auth(url))

    async def xet_token(self, spec: FileSpec, commit: str, refused: Target | None = None) -> Target:
        """The URL of the store of Xet and a token for it, for a commit of a repo; not the `refused` one.

        Raises `Failure`.
        """
        return await self._xet_tokens.get(self._session, spec, commit, refused)

    async def list_repo(self, spec: RepoSpec, *, commit: str | None = None, told_at: float = 0.0) -> Listing:
        """The list of all files of `commit`; by default of the commit that the revision points at now.

        `told_at` is when the Hub reported the commit, as in `Source`. Globs are not applied. Raises `Failure`.
        """
        if commit is None:
            commit = await self.head_commit(spec)
            told_at = time.time()
        return Listing(self._session, spec, commit, told_at)

    async def head_commit(self, spec: RepoSpec) -> str:
        """The commit that the revision points at now. No request when it is a commit itself. Raises `Failure`."""
        if is_commit(spec.revision):
            return spec.revision
        context = RequestContext(self.endpoint, spec, spec.revision)
        url = urls.revision_url(self.endpoint, spec)
        try:
            body, _ = await self._session.body("GET", f"{url}?{urls.ONLY_SHA}", context)
        except Failure as failure:
            if failure.reason not in (Reason.REPO_NOT_FOUND, Reason.INTERNAL):
                raise
            body, _ = await self._session.body("GET", url, context)  # some mirrors refuse the query
        try:
            commit = msgspec.json.decode(body, type=_Revision).sha
        except MALFORMED:
            commit = ""
        if not is_commit(commit):
            raise Failure(Reason.HUB_UNAVAILABLE, f"The Hub at {context.host} returned no commit for {context.at}.")
        return commit

    async def probe(self) -> str:
        """The `Date` of any answer of the Hub; empty when it has none. Raises `Failure` when no answer comes."""
        spec = RepoSpec(repo_type=RepoType.MODEL, model_repo="", revision="")
        return await self._session.probe(f"{self.endpoint}/api/models?limit=1", RequestContext(self.endpoint, spec, ""))

    async def close(self) -> None:
        await self._xet_tokens.close()
        await self._session.close()

    async def _head(self, spec: FileSpec, commit: str | None) -> tuple[ResponseHead, Metadata, RequestContext]:
        revision = commit or spec.revision
        context = RequestContext(self.endpoint, spec, revision, pinned=commit is not None and commit != spec.revision)
        head = await self._session.head(urls.file_url(self.endpoint, spec, revision), context)
        return head, read_metadata(head, context), context

    async def _from_listing(self, spec: FileSpec, context: RequestContext, *, told_at: float) -> Source:
        """The source of a file whose headers name no commit, as from mirrors that pass on few headers: from the API."""
        try:
            entry = await self._find_in_listing(spec, await self.head_commit(spec.repo), context)
        except Failure as failure:
            if failure.is_final or failure.reason is Reason.HUB_UNAVAILABLE:
                raise not_a_hub(context) from None
            raise
        if entry is None:
            raise not_a_hub(context)
        return replace(entry.source, told_at=told_at)

    async def _complete(
        self, spec: FileSpec, metadata: Metadata, commit: str, context: RequestContext, *, told_at: float
    ) -> Source:
        """The source, with the values that the headers lack, or that contradict each other, from the listing."""
        etag, size_bytes, digest = metadata.etag, metadata.size_bytes, metadata.digest
        if digest is None or size_bytes is None or metadata.is_doubtful:
            try:
                entry = await self._find_in_listing(spec, commit, context)
            except Failure:
                if digest is None:
                    raise
                entry = None  # the size is optional
            if metadata.is_doubtful:
                size_bytes = None  # of the two the digest is the one that is verified
                if entry is not None:
                    etag, digest = entry.source.etag, entry.source.digest
            if entry is not None:
                digest = digest or entry.source.digest
                size_bytes = entry.source.size_bytes if size_bytes is None else size_bytes
                etag = etag or entry.source.etag
        if digest is None and not self._allow_unverified():
            raise Failure(
                Reason.UNVERIFIABLE,
                f"The Hub at {context.host} gives no digest of {context.path} in {context.at}, neither in its headers"
                " nor in its listing; the setting allow_unverified allows such downloads.",
            )
        if etag is None:
            etag = NO_ETAG + hashlib.sha256(f"{commit}/{spec.file_path}".encode()).hexdigest()
        return Source(
            commit=commit,
            etag=etag,
            size_bytes=size_bytes,
            digest=digest,
            xet_hash=metadata.xet_hash,
            told_at=told_at,
        )

    async def _find_in_listing(self, spec: FileSpec, commit: str, context: RequestContext) -> Entry | None:
        """The file's entry in the listing: asked for by path, or from the whole list on mirrors without that API."""
        url = urls.paths_info_url(self.endpoint, spec.repo, commit)
        try:
            body, _ = await self._session.body("POST", url, context, {"paths": spec.file_path, "expand": "False"})
            if (entry := find_entry(body, spec.file_path, commit)) is not None:
                return entry
        except Failure as failure:
            if not failure.is_final:
                raise
        try:
            async for page in Listing(self._session, spec.repo, commit).pages():
                for entry in page:
                    if entry.path == spec.file_path:
                        return entry
        except Failure as failure:
            if not failure.is_final:
                raise
        return None

    def _target(self, head: ResponseHead) -> Target:
        url = head.location or head.url
        return Target(url, self._session.auth(url))
