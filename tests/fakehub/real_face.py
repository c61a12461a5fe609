"""Headers as the real Hub and its CDN send them, for `World.real_face`.

Published captures, all of 2026, with what each of them shows:

- A git file: 307 to `/api/resolve-cache/models/<repo>/<commit>/<path>?<resolve path>=&etag=<quoted>`, with
  `X-Repo-Commit`, `X-Powered-By`, `X-HF-Warning`, `RateLimit`, `RateLimit-Policy`, `Vary: Origin, Accept` and the
  `Access-Control-…` headers (raullenchai/Rapid-MLX#1122, 17 July). Scripts that check published files read the git hash
  from `x-linked-etag` of this 307.
- A large file: 302 to `https://us.aws.cdn.hf.co/xet-bridge-us/<24 hex>/<Xet hash>?X-Xet-Cas-Uid=public&
  response-content-disposition=inline%3B+filename*%3DUTF-8%27%27…&user_id=public&Expires=…&Policy=…&Signature=…`, with
  `x-linked-size` and `x-linked-etag` (the sha256). The CDN's 200 has another ETag, the Xet hash, and `x-hf-cdn-pop`
  (ngxson/wllama#248, 10 June; a note on bartowski/Qwen_Qwen3-1.7B-GGUF, 11 September). The CDN names no rate limit and
  no `Last-Modified`; `Access-Control-Allow-Origin` is `*`.
- A tree entry has `oid`, `size`, `lfs.oid`, `lfs.size`, `lfs.pointerSize` and `xetHash` (the same note).
- A missing file: 404, `content-type: text/plain`, `content-length: 15`, a weak ETag of the text (a session log of
  30 June), `x-error-code: EntryNotFound` and the commit (huggingface_hub 2.4.0 caches by these two).
- A gated file without a token: 401, `x-error-code: GatedRepo`, `x-error-message: Access to model … is restricted. …`.
- `ratelimit: "resolvers";r=2998;t=102`, `ratelimit-policy: "fixed window";"resolvers";q=3000;w=300` on every answer of
  resolve, `"api";q=500;w=300` on the API's; 429 has no `Retry-After` (huggingface.co/docs/hub/rate-limits).

Names are in lower case, as HTTP/2 has them and as gateways to HTTP/1.1 pass them on.
"""

from __future__ import annotations

from dataclasses import replace

from tests.fakehub.answer import Answer
from tests.fakehub.content import BytesContent
from tests.fakehub.journal import ServerName

_EXPOSED = (
    "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,"
)
_HUB = {
    "x-powered-by": "huggingface-moon",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "strict-origin-when-cross-origin",
    "access-control-max-age": "86400",
    "access-control-allow-origin": "https://huggingface.co",
    "access-control-expose-headers": f"{_EXPOSED},Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash",
    "vary": "Origin, Accept",
    "x-hf-warning": "unauthenticated; Warning: You are sending unauthenticated requests to the HF Hub.",
    "x-cache": "Miss from cloudfront",
    "via": "1.1 0123456789abcdef.cloudfront.net (CloudFront)",
    "x-amz-cf-pop": "FRA60-P1",
}
_CDN = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "*",
    "vary": "origin, access-control-request-method, access-control-request-headers",
    "x-hf-cdn-pop": "aws-us-east-1",
}


def with_real_face(server: ServerName, answer: Answer) -> Answer:
    """The answer with the headers that the real one has beside its own."""
    headers = lower(answer.headers)
    if server == "cdn":
        headers.pop("last-modified", None)
        if answer.file is not None and answer.file.xet_hash is not None:
            headers["etag"] = f'"{answer.file.xet_hash}"'
        return replace(answer, headers={**headers, **_CDN})
    if answer.on == ("api",):
        headers["ratelimit"] = '"api";r=499;t=102'
        headers["ratelimit-policy"] = '"fixed window";"api";q=500;w=300'
    if answer.status in (302, 307):
        headers["cache-control"] = "no-store"
    if headers.get("x-error-code") == "EntryNotFound":
        headers |= {"content-type": "text/plain; charset=utf-8", "etag": 'W/"f-mY2VvLxuxB7KhsoOdQTlMTccuAQ"'}
        answer = replace(answer, content=BytesContent(b"Entry not found"), start=0, end=15)
    return replace(answer, headers={**headers, **_HUB})


def lower(headers: dict[str, str]) -> dict[str, str]:
    """The headers with their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}
