"""The API's errors as one tree: the daemon raises them, the client rebuilds them from a `Problem`.

Source of the shape: RFC 9457, problem details for HTTP APIs.
"""

from __future__ import annotations

from typing import ClassVar

from hfdmd.wire.types import Problem, Reason

PROBLEM_MEDIA_TYPE = "application/problem+json"


class ApiError(Exception):
    """An error response. `detail` is a sentence for people; `field` names the invalid field."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        retry_after_s: int | None = None,
        allow: tuple[str, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s
        self.allow = allow

    def problem(self) -> Problem:
        return Problem(
            type=f"urn:hfdmd:{self.code}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            code=self.code,
            field=self.field,
        )


class Internal(ApiError):
    """A fault of the daemon; see its log."""


class Malformed(ApiError):
    code, status, title = "malformed", 400, "Malformed request"


class Unauthorized(ApiError):
    code, status, title = "unauthorized", 401, "Unauthorized"


class ForbiddenOrigin(ApiError):
    code, status, title = "forbidden_origin", 403, "Web origin not allowed"


class ForbiddenHost(ApiError):
    code, status, title = "forbidden_host", 403, "Host not allowed"


class ForbiddenPath(ApiError):
    code, status, title = "forbidden_path", 403, "Folder not allowed"


class NotFound(ApiError):
    code, status, title = "not_found", 404, "Not found"


class UnknownDownload(ApiError):
    code, status, title = "unknown_download", 404, "No such download"


class MethodNotAllowed(ApiError):
    code, status, title = "method_not_allowed", 405, "Method not allowed"


class NotAllowedNow(ApiError):
    code, status, title = "not_allowed_now", 409, "Not allowed in the present status"


class TooLarge(ApiError):
    code, status, title = "too_large", 413, "Request too large"


class UnsupportedMediaType(ApiError):
    code, status, title = "unsupported_media_type", 415, "Unsupported media type"


class InvalidField(ApiError):
    code, status, title = "invalid_field", 422, "Invalid field"


class HubUnavailable(ApiError):
    code, status, title = "hub_unavailable", 502, "Hub unavailable"


class QueueFull(ApiError):
    code, status, title = "queue_full", 503, "Queue full"


class Loading(ApiError):
    code, status, title = "loading", 503, "Not ready"


class HubRefused(ApiError):
    """An error of the Hub that a caller waits for; the code is the reason that a download would fail with."""


class RepoNotFound(HubRefused):
    code, status, title = Reason.REPO_NOT_FOUND.value, 404, "Repo not found"


class RevisionNotFound(HubRefused):
    code, status, title = Reason.REVISION_NOT_FOUND.value, 404, "Revision not found"


class FileNotFound(HubRefused):
    code, status, title = Reason.FILE_NOT_FOUND.value, 404, "File not found"


class Gated(HubRefused):
    code, status, title = Reason.GATED.value, 403, "Repo is gated"


class HubUnauthorized(HubRefused):
    """The Hub refused its token. (A missing token of the daemon is `Unauthorized`, 401.)"""

    code, status, title = "unauthorized", 403, "Token refused by the Hub"


class Tls(HubRefused):
    code, status, title = Reason.TLS.value, 502, "Certificate of the Hub rejected"


def _leaves(cls: type[ApiError]) -> list[type[ApiError]]:
    return [cls, *(leaf for sub in cls.__subclasses__() for leaf in _leaves(sub))]


_BY_CODE = {(cls.status, cls.code): cls for cls in reversed(_leaves(ApiError))}
CODES: frozenset[str] = frozenset(code for _, code in _BY_CODE)


def statuses(code: str) -> list[int]:
    """The HTTP statuses of a code."""
    return sorted(status for status, known in _BY_CODE if known == code)


def from_problem(problem: Problem, *, retry_after_s: int | None = None) -> ApiError:
    """The error of a `Problem`; an unknown code of a newer daemon becomes a plain `ApiError`."""
    cls = _BY_CODE.get((problem.status, problem.code), ApiError)
    return cls(problem.detail, field=problem.field, retry_after_s=retry_after_s)
