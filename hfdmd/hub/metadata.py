"""The metadata of a file in the headers of a HEAD response.

Source of the headers: `huggingface_hub.get_hf_file_metadata`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hfdmd import digest, names
from hfdmd.failure import Failure
from hfdmd.hub.refusals import RequestContext
from hfdmd.hub.session import ResponseHead
from hfdmd.record import Digest, Source, is_commit, is_etag
from hfdmd.wire.types import Reason


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the headers say about a file. Values are valid, or None."""

    commit: str | None
    etag: str | None
    size_bytes: int | None
    digest: Digest | None
    xet_hash: str | None
    is_doubtful: bool
    """Whether size and digest, or two sizes, contradict each other, as where a mirror answers HEAD with 0 bytes."""
    needs_xet: bool = False
    """Whether the Hub serves the file through Xet only."""


def read_metadata(head: ResponseHead, context: RequestContext) -> Metadata:
    """The metadata in a successful response.

    Raises `Failure` (hub_unavailable) when the response is about another commit than the requested one.
    """
    headers = head.headers
    commit = headers.get("X-Repo-Commit")
    if commit is not None and not is_commit(commit):
        commit = None
    if commit is not None and is_commit(context.revision) and commit != context.revision:
        raise Failure(
            Reason.HUB_UNAVAILABLE, f"The Hub at {context.host} answered with commit {commit[:12]} for {context.at}."
        )
    linked = names.normal_etag(headers.get("X-Linked-Etag"))
    etag = linked or names.normal_etag(headers.get("ETag"))
    if etag is not None and not is_etag(etag):
        etag = None
    xet_hash = headers.get("X-Xet-Hash")
    if xet_hash is not None and not digest.is_sha256(xet_hash):
        xet_hash = None
    redirected = 300 <= head.status < 400
    length = None
    if not redirected and headers.get("Content-Encoding", "identity").lower() == "identity":
        length = names.size_of(headers.get("Content-Length"))
    size_bytes = names.size_of(headers.get("X-Linked-Size"))
    serves_it = head.location is not None or (length is not None and size_bytes in (None, length))
    needs_xet = xet_hash is not None and not serves_it
    if needs_xet:
        length = None  # of something else than the file
    # the plain ETag of a Xet file is its Xet hash, which only looks like a sha256
    found = None if etag is None or (linked is None and etag == xet_hash) else digest.from_etag(etag)
    sizes = {size for size in (size_bytes, length) if size is not None}
    return Metadata(
        commit=commit,
        etag=etag,
        size_bytes=length if size_bytes is None else size_bytes,
        digest=found,
        xet_hash=xet_hash,
        needs_xet=needs_xet,
        is_doubtful=len(sizes) > 1 or (found is not None and any((not s) != digest.is_of_empty(found) for s in sizes)),
    )


def not_a_hub(context: RequestContext) -> Failure:
    """The failure of a response that no Hub would send, as from a captive portal."""
    return Failure(
        Reason.HUB_UNAVAILABLE,
        f"The response of {context.host} for {context.at} is not a Hub's (no X-Repo-Commit): check HF_ENDPOINT, the"
        " proxy and the network's sign-in page.",
    )


def is_pointer_of(source: Source, reported: Metadata) -> bool:
    """Whether a file that is in LFS at this commit is served from git, which has only its pointer."""
    is_lfs = source.digest is not None and not digest.is_git_blob(source.digest)
    is_short = reported.size_bytes is not None and reported.size_bytes < digest.POINTER_LIMIT_BYTES
    is_other = digest.is_git_blob(reported.digest) and reported.size_bytes != source.size_bytes
    return is_lfs and is_short and is_other and not reported.is_doubtful


def contradiction(source: Source, reported: Metadata) -> str | None:
    """How the metadata differs from the pinned `source`; None when it can be the same file.

    Digests are compared when both are of one kind, etags when there is no digest: mirrors may have other etags.
    Doubtful metadata, and a size beside the same digest, are not compared: the content is verified anyway.
    """
    if reported.is_doubtful or (source.digest is not None and source.digest == reported.digest):
        return None
    if None not in (source.size_bytes, reported.size_bytes) and source.size_bytes != reported.size_bytes:
        return f"it had {source.size_bytes} bytes and now has {reported.size_bytes}"
    if source.digest is not None and reported.digest is not None:
        same_kind = digest.split(source.digest)[0] == digest.split(reported.digest)[0]
        if same_kind and source.digest != reported.digest:
            return f"its digest was {source.digest} and is now {reported.digest}"
    elif source.digest is None and reported.digest is None and reported.etag not in (None, source.etag):
        return "its etag has changed"
    return None
