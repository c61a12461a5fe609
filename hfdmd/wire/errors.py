"""The API's errors as one tree: the daemon raises them, the client raises them again from a `Problem`.

Source of the shape: RFC 9457, problem details for HTTP APIs.
"""

from __future__ import annotations

from typing import ClassVar

from hfdmd.wire.types import Problem, Reason

PROBLEM_MEDIA_TYPE = "application/problem+json"


class ApiError(Exception):
    """An answer that is not a success. `detail` is a sentence for a person; `field` names what was wrong."""

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
    """The daemon's own fault; its log has the story."""


class Malformed(ApiError):
    code, status, title = "malformed", 400, "The request cannot be read"


class Unauthorized(ApiError):
    code, status, title = "unauthorized", 401, "A token is needed"


class ForbiddenOrigin(ApiError):
    code, status, title = "forbidden_origin", 403, "Requests from this web origin are refused"


class ForbiddenHost(ApiError):
    code, status, title = "forbidden_host", 403, "The Host header is not one of the daemon's names"


class ForbiddenPath(ApiError):
    code, status, title = "forbidden_path", 403, "This folder is not allowed"


class NotFound(ApiError):
    code, status, title = "not_found", 404, "No such path"


class UnknownDownload(ApiError):
    code, status, title = "unknown_download", 404, "No such download"


class MethodNotAllowed(ApiError):
    code, status, title = "method_not_allowed", 405, "This path does not know that method"


class NotAllowedNow(ApiError):
    code, status, title = "not_allowed_now", 409, "Not possible in the present status"


class TooLarge(ApiError):
    code, status, title = "too_large", 413, "The request is too large"


class UnsupportedMediaType(ApiError):
    code, status, title = "unsupported_media_type", 415, "The body must be application/json"


class InvalidField(ApiError):
    code, status, title = "invalid_field", 422, "A field is not valid"


class HubUnavailable(ApiError):
    code, status, title = "hub_unavailable", 502, "The Hub did not answer as it should"


class QueueFull(ApiError):
    code, status, title = "queue_full", 503, "The queue is full"


class Loading(ApiError):
    code, status, title = "loading", 503, "The daemon is still loading its tracker files"


class HubRefused(ApiError):
    """The Hub's own answer to `GET /api/files`; the code is the reason a download would fail with."""


class RepoNotFound(HubRefused):
    code, status, title = Reason.REPO_NOT_FOUND.value, 404, "The Hub has no such repo"


class RevisionNotFound(HubRefused):
    code, status, title = Reason.REVISION_NOT_FOUND.value, 404, "The repo has no such revision"


class FileNotFound(HubRefused):
    code, status, title = Reason.FILE_NOT_FOUND.value, 404, "The repo has no such file"


class Gated(HubRefused):
    code, status, title = Reason.GATED.value, 403, "The repo is gated"


class HubUnauthorized(HubRefused):
    """The Hub refused the token (not the daemon: that is `Unauthorized`, 401)."""

    code, status, title = "unauthorized", 403, "The Hub refused the token"


class Tls(HubRefused):
    code, status, title = Reason.TLS.value, 502, "The Hub's certificate was rejected"


def _leaves(cls: type[ApiError]) -> list[type[ApiError]]:
    return [cls, *(leaf for sub in cls.__subclasses__() for leaf in _leaves(sub))]


_BY_CODE = {(cls.status, cls.code): cls for cls in reversed(_leaves(ApiError))}
CODES: frozenset[str] = frozenset(code for _, code in _BY_CODE)


def statuses(code: str) -> list[int]:
    """The HTTP statuses that a code comes with."""
    return sorted(status for status, known in _BY_CODE if known == code)


def from_problem(problem: Problem, *, retry_after_s: int | None = None) -> ApiError:
    """The error that a `Problem` stands for; an unknown code of a newer daemon becomes a plain `ApiError`."""
    cls = _BY_CODE.get((problem.status, problem.code), ApiError)
    return cls(problem.detail, field=problem.field, retry_after_s=retry_after_s)
