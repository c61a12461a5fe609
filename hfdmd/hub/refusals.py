"""Translates an error response of the Hub to a reason (docs/api.md, section 2) and a sentence that says what to do.

Source of the codes: `huggingface_hub.utils.hf_raise_for_status`. A detail never repeats text of the Hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hfdmd.failure import Failure
from hfdmd.hub.urls import page_url, without_user
from hfdmd.net.proxy import login_wanted
from hfdmd.record import FileSpec, RepoSpec
from hfdmd.wire.types import Reason, RepoType

_LOGIN = "`hfdm login` or HF_TOKEN"
_DISABLED = "Access to this resource is disabled."
_BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - a message of the Hub, not a secret


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The subject of a request to the Hub, as text for the details of failures."""

    endpoint: str
    spec: FileSpec | RepoSpec
    revision: str
    pinned: bool = False
    """Whether `revision` is a commit that an earlier resolve pinned."""

    @property
    def repo(self) -> str:
        kind = "" if self.spec.repo_type is RepoType.MODEL else f"{self.spec.repo_type.value} "
        return f"{kind}{self.spec.model_repo}"

    @property
    def at(self) -> str:
        what = f"commit {self.revision[:12]}" if self.pinned else f"revision {self.revision}"
        return f"{self.repo} at {what}"

    @property
    def host(self) -> str:
        return without_user(self.endpoint)

    @property
    def path(self) -> str | None:
        return self.spec.file_path if isinstance(self.spec, FileSpec) else None


def response_failure(
    context: RequestContext, status: int, headers: Mapping[str, str], *, token_sent: bool, wait_s: float | None
) -> Failure:
    """The failure that a response with this status (400 or above) means. `wait_s`: the wait that the Hub asked for."""
    by_code = _by_code(context, headers, token_sent)
    if by_code is not None:
        return by_code
    if status == 429:
        return Failure(
            Reason.RATE_LIMITED,
            f"The Hub at {context.host} limits the rate of requests"
            + ("" if wait_s is None else f"; it asked to wait {wait_s:.0f} s")
            + ("" if token_sent else f"; the limit is higher when signed in ({_LOGIN})")
            + ".",
            retry_after_s=wait_s,
        )
    if status == 401:
        return _bad_token(context) if token_sent else _no_repo(context, token_sent)
    if status == 403:
        why = ": the token's rights do not cover it." if token_sent else f": sign in with {_LOGIN}."
        return Failure(Reason.UNAUTHORIZED, f"The Hub forbids access to {context.repo}{why}")
    if status == 451:
        return Failure(Reason.UNAUTHORIZED, f"{context.repo} is not available for legal reasons.")
    if status in (404, 410):
        return _not_found(context)
    if status == 407:
        return login_wanted()
    if status in (400, 405, 414, 431):
        return Failure(
            Reason.INTERNAL, f"The Hub at {context.host} rejected the request for {context.at} as invalid: {status}."
        )
    return Failure(
        Reason.HUB_UNAVAILABLE, f"The Hub at {context.host} answered {status} for {context.at}.", retry_after_s=wait_s
    )


def _by_code(context: RequestContext, headers: Mapping[str, str], token_sent: bool) -> Failure | None:
    code = headers.get("X-Error-Code")
    if code == "GatedRepo":
        page = page_url(context.endpoint, context.spec)
        how = (
            f"The account of the token has no access: ask for it or accept the conditions at {page}."
            if token_sent
            else f"Accept its conditions at {page}, then sign in with {_LOGIN}."
        )
        return Failure(Reason.GATED, f"{context.repo} is gated. {how}")
    if code == "RepoNotFound":
        return _no_repo(context, token_sent)
    if code == "RevisionNotFound":
        return Failure(Reason.REVISION_NOT_FOUND, f"{context.at} does not exist: no such branch, tag or commit.")
    if code == "EntryNotFound" and context.path is not None:
        return Failure(Reason.FILE_NOT_FOUND, f"{context.at} has no file {context.path}.")
    message = headers.get("X-Error-Message")
    if message == _DISABLED:
        return Failure(Reason.UNAUTHORIZED, f"The Hub has disabled access to {context.repo}.")
    if message == _BAD_TOKEN:
        return _bad_token(context)
    return None


def _bad_token(context: RequestContext) -> Failure:
    return Failure(
        Reason.UNAUTHORIZED,
        f"The Hub at {context.host} refuses the token for {context.repo}: sign in again with {_LOGIN}.",
    )


def _no_repo(context: RequestContext, token_sent: bool) -> Failure:
    why = "is private for others than the token's account" if token_sent else f"is private (sign in with {_LOGIN})"
    return Failure(Reason.REPO_NOT_FOUND, f"{context.repo} does not exist on {context.host}, or {why}.")


def _not_found(context: RequestContext) -> Failure:
    """The most likely meaning of a 404 without an error code, as of mirrors."""
    if context.pinned:
        return Failure(Reason.REVISION_NOT_FOUND, f"The Hub at {context.host} no longer has {context.at}.")
    if context.path is not None:
        return Failure(Reason.FILE_NOT_FOUND, f"The Hub at {context.host} has no file {context.path} in {context.at}.")
    return Failure(Reason.REPO_NOT_FOUND, f"The Hub at {context.host} does not have {context.at}.")
