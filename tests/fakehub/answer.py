"""A response before it is sent: status, headers, and the range of the content."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from tests.fakehub.content import BytesContent, Content
from tests.fakehub.fault import On
from tests.fakehub.repo import File

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass
class Answer:
    """The response without faults. `end` is exclusive."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: Content = field(default_factory=lambda: BytesContent(b""))
    start: int = 0
    end: int = -1
    on: tuple[On, ...] = ()
    """The kinds of faults that apply to it."""
    file: File | None = None
    """The requested file, also when this response is a redirect to it."""
    compressible: bool = False

    def __post_init__(self) -> None:
        if self.end < 0:
            self.end = self.content.size_bytes


def json_answer(data: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """JSON, compact as the Hub's."""
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return Answer(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, BytesContent(body))


def error(status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> Answer:
    """An error in the Hub's form: text in the body, code and message in two headers."""
    said = {"X-Error-Message": message, **(headers or {})}
    if code:
        said["X-Error-Code"] = code
    return json_answer({"error": message}, status, said)


def redirect(status: int, location: str, headers: dict[str, str] | None = None) -> Answer:
    """A redirect with the short text that the Hub puts into its body."""
    name = {301: "Moved Permanently", 302: "Found", 307: "Temporary Redirect", 308: "Permanent Redirect"}[status]
    body = BytesContent(f"{name}. Redirecting to {location}".encode())
    return Answer(status, {"Location": location, "Content-Type": "text/plain; charset=utf-8", **(headers or {})}, body)


def body_answer(content: Content, headers: dict[str, str], range_header: str | None) -> Answer:
    """200 with the whole content, 206 with the requested range, or 416."""
    said = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
    size = content.size_bytes
    match = _RANGE.fullmatch(range_header.strip()) if range_header else None
    if match is None or match.groups() == ("", ""):
        return Answer(200, said, content)
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < int(first):
            return Answer(200, said, content)
    else:
        start, end = max(0, size - int(last)), size
    if start >= size or start >= end:
        return Answer(416, {**said, "Content-Range": f"bytes */{size}"})
    said["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Answer(206, said, content, start, end)
