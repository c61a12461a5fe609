"""Faults that change a response before it is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from aiohttp.web_request import BaseRequest

from tests.fakehub.answer import Answer, body_answer, error, redirect
from tests.fakehub.content import BytesContent
from tests.fakehub.fault import Fault
from tests.fakehub.routes_cdn import denied
from tests.fakehub.routes_resolve import quoted


def twist(answer: Answer, faults: Sequence[Fault], request: BaseRequest) -> Answer:
    """The response with its faults applied; faults of the sending are left to `sending`."""
    for fault in faults:
        answer = _twist(answer, fault, request)
    return answer


def _twist(answer: Answer, fault: Fault, request: BaseRequest) -> Answer:
    match fault.kind:
        case "status":
            made = error(fault.code, fault.text or "Scripted fault")
            return _said(replace(made, headers={**made.headers, **_commit(answer)}), fault)
        case "expired":
            return denied("Request has expired")
        case "redirect":
            return redirect(fault.code, fault.text if fault.text is not None else request.raw_path, _commit(answer))
        case "onward":
            return redirect(fault.code, f"{fault.text}{request.raw_path}")
        case "no_query" if fault.text in request.query:
            return Answer(404, {}, BytesContent(b"Not found"))
        case "whole":
            headers = {k: v for k, v in answer.headers.items() if k not in ("Content-Range", "Accept-Ranges")}
            return replace(answer, status=200, start=0, end=answer.content.size_bytes, headers=headers)
        case "range_refused":
            size = answer.content.size_bytes
            return Answer(416, {**answer.headers, "Content-Range": f"bytes */{size}"}, BytesContent(b""))
        case "content_range" if answer.status == 206:
            size = answer.content.size_bytes
            moved = f"bytes {answer.start + fault.offset}-{answer.end - 1 + fault.offset}/{size}"
            wrong = moved if fault.text is None else fault.text
            headers = {k: v for k, v in answer.headers.items() if k != "Content-Range"}
            return replace(answer, headers={**headers, "Content-Range": wrong} if wrong else headers)
        case "say":
            return _said(answer, fault)
        case "edit" if answer.status == 200 and fault.change is not None:
            changed = fault.change(json.loads(answer.content.read()))
            body = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
            return replace(answer, content=BytesContent(body), end=len(body))
        case "instead":
            return Answer(200, _commit(answer), BytesContent(fault.body))
        case "plain" if answer.file is not None:
            made = body_answer(answer.file.content, _commit(answer), request.headers.get("Range"))
            return replace(made, file=answer.file, on=("body",) if request.method == "GET" else answer.on)
        case "pointer" if answer.file is not None:
            said = {**_commit(answer), "ETag": quoted(answer.file.git_oid)}
            return replace(body_answer(BytesContent(answer.file.pointer), said, None), on=answer.on)
        case _:
            return answer


def _commit(answer: Answer) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k == "X-Repo-Commit"}


def _said(answer: Answer, fault: Fault) -> Answer:
    lower = {name.lower() for name in fault.headers}
    headers = {k: v for k, v in answer.headers.items() if k.lower() not in lower}
    return replace(answer, headers={**headers, **{k: v for k, v in fault.headers.items() if v is not None}})
