"""What an answer of the Hub that is no success means: the contract's reason, and a sentence that says what to do.

Source of the codes: `huggingface_hub.utils.hf_raise_for_status`. Nothing the Hub wrote is repeated in a detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hfdmd.failure import Failure
from hfdmd.hub.urls import page_url, without_user
from hfdmd.record import FileSpec, RepoSpec
from hfdmd.wire.types import Reason, RepoType

_LOGIN = "`hf auth login` or HF_TOKEN"
_DISABLED = "Access to this resource is disabled."
_BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - the Hub's words, not a secret


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of the Hub, in a person's words for details."""

    endpoint: str
    spec: FileSpec | RepoSpec
    revision: str
    pinned: bool = False
    """Whether `revision` is the commit that an earlier resolve pinned."""

    @property
    def repo(self) -> str:
        kind = "" if self.spec.repo_type is RepoType.MODEL else f"{self.spec.repo_type.value} "
        return f"{kind}{self.spec.model_repo}"

    @property
    def at(self) -> str:
        what = f"commit {self.revision[:12]}" if self.pinned else f"revision {self.revision}"
        return f"{self.repo} at {what}"

    @property
    def page(self) -> str:
        return page_url(self.endpoint, self.spec)

    @property
    def host(self) -> str:
        return without_user(self.endpoint)

    @property
    def path(self) -> str | None:
        return self.spec.file_path if isinstance(self.spec, FileSpec) else None


def failure_of(
    asked: Asked, status: int, headers: Mapping[str, str], *, token_sent: bool, wait_s: float | None
) -> Failure:
    """The failure that an answer with this status (400 or above) means. `wait_s`: what the Hub asked to wait."""
    by_code = _by_code(asked, headers, token_sent)
    if by_code is not None:
        return by_code
    if status == 429:
        return Failure(
            Reason.RATE_LIMITED,
            f"The Hub at {asked.host} gets too many requests from here"
            + ("" if wait_s is None else f" and asked to wait {wait_s:.0f} s")
            + ("" if token_sent else f"; signed in ({_LOGIN}) more are allowed")
            + ".",
            retry_after_s=wait_s,
        )
    if status in (401, 403, 451):
        return _no_access(asked, status, token_sent)
    if status in (404, 410):
        return _not_found(asked)
    if status == 407:
        return Failure(Reason.NETWORK, "The proxy wants a user name and password: set them in HTTPS_PROXY.")
    if status in (400, 405, 414, 431):
        return Failure(
            Reason.INTERNAL, f"The Hub at {asked.host} does not understand the request for {asked.at}: {status}."
        )
    return Failure(
        Reason.HUB_UNAVAILABLE, f"The Hub at {asked.host} answered {status} for {asked.at}.", retry_after_s=wait_s
    )


def _by_code(asked: Asked, headers: Mapping[str, str], token_sent: bool) -> Failure | None:
    code = headers.get("X-Error-Code")
    if code == "GatedRepo":
        how = (
            f"The account of the token has no access: ask for it or accept the conditions at {asked.page}."
            if token_sent
            else f"Accept its conditions at {asked.page}, then sign in with {_LOGIN}."
        )
        return Failure(Reason.GATED, f"{asked.repo} is gated. {how}")
    if code == "RepoNotFound":
        return _no_repo(asked, token_sent)
    if code == "RevisionNotFound":
        return Failure(Reason.REVISION_NOT_FOUND, f"{asked.at} does not exist: no such branch, tag or commit.")
    if code == "EntryNotFound" and asked.path is not None:
        return Failure(Reason.FILE_NOT_FOUND, f"{asked.at} has no file {asked.path}.")
    message = headers.get("X-Error-Message")
    if message == _DISABLED:
        return Failure(Reason.UNAUTHORIZED, f"The Hub has disabled access to {asked.repo}.")
    if message == _BAD_TOKEN:
        return _bad_token(asked)
    return None


def _no_access(asked: Asked, status: int, token_sent: bool) -> Failure:
    if status == 451:
        return Failure(Reason.UNAUTHORIZED, f"{asked.repo} is not available for legal reasons.")
    if status == 403:
        return Failure(
            Reason.UNAUTHORIZED,
            f"The Hub forbids access to {asked.repo}"
            + (": the token's rights do not cover it." if token_sent else f": sign in with {_LOGIN}."),
        )
    return _bad_token(asked) if token_sent else _no_repo(asked, token_sent)


def _bad_token(asked: Asked) -> Failure:
    return Failure(
        Reason.UNAUTHORIZED,
        f"The Hub at {asked.host} refuses the token for {asked.repo}: sign in again with {_LOGIN}.",
    )


def _no_repo(asked: Asked, token_sent: bool) -> Failure:
    why = "is private for others than the token's account" if token_sent else f"is private (sign in with {_LOGIN})"
    return Failure(Reason.REPO_NOT_FOUND, f"{asked.repo} does not exist on {asked.host}, or {why}.")


def _not_found(asked: Asked) -> Failure:
    """404 without a code, as mirrors answer: the nearest guess."""
    if asked.pinned:
        return Failure(Reason.REVISION_NOT_FOUND, f"The Hub at {asked.host} no longer has {asked.at}.")
    if asked.path is not None:
        return Failure(Reason.FILE_NOT_FOUND, f"The Hub at {asked.host} has no file {asked.path} in {asked.at}.")
    return Failure(Reason.REPO_NOT_FOUND, f"The Hub at {asked.host} does not have {asked.at}.")
