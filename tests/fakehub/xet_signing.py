"""What the test Hub and its CAS sign: tokens for the CAS, and URLs of stored xorbs with their one allowed Range."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from urllib.parse import quote, urlencode

Span = tuple[int, int]
"""Bytes of a xorb, end exclusive."""


@dataclass(frozen=True)
class CasToken:
    """What a token allows: reading the files of one repo (`kind` plural), or writing too, until `expires_s`."""

    kind: str
    repo: str
    commit: str
    writes: bool
    expires_s: float

    def signed(self, secret: bytes) -> str:
        """The token as text."""
        body = base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()
        return f"xet.{body}.{signature(secret, body)}"


def read_token(secret: bytes, text: str | None) -> CasToken | None:
    """The token, if it was signed here and has not expired."""
    name, _, rest = (text or "").partition(".")
    body, _, signed = rest.partition(".")
    if name != "xet" or not hmac.compare_digest(signed.encode(), signature(secret, body).encode()):
        return None
    token = CasToken(**json.loads(base64.urlsafe_b64decode(body)))
    return token if token.expires_s > time.time() else None


def range_header(spans: Sequence[Span]) -> str:
    """The Range header for these bytes."""
    return "bytes=" + ",".join(f"{start}-{end - 1}" for start, end in spans)


def signed_query(secret: bytes, path: str, spans: Sequence[Span], expires_s: float, form: str, **shown: str) -> str:
    """The query of a xorb's URL. `form`: "policy" as the Hub's CDN signs, "query" as CloudFront is documented."""
    expected = range_header(spans)
    query = {"user_id": "public", **shown, "Expires": f"{expires_s:.3f}", "Key-Pair-Id": "K2TEST"}
    if form == "policy":
        condition = {
            "DateLessThan": {"AWS:EpochTime": int(expires_s)},
            "ByteRange": {"ExpectedHeader": expected},
        }
        policy = json.dumps({"Statement": [{"Resource": f"{path}*", "Condition": condition}]}, separators=(",", ":"))
        query["Policy"] = base64.b64encode(policy.encode()).decode().translate(str.maketrans("+=/", "-_~"))
    else:
        query["X-Xet-Signed-Range"] = expected
    query["Signature"] = signature(secret, f"{path}\n{expected}\n{query['Expires']}")
    return urlencode(query, quote_via=quote)


def allowed_range(secret: bytes, path: str, query: Mapping[str, str]) -> tuple[str, float] | None:
    """The signed Range header and when the URL expires; None when the signature is wrong."""
    expected = query.get("X-Xet-Signed-Range", "")
    if "Policy" in query:
        policy = base64.b64decode(query["Policy"].translate(str.maketrans("-_~", "+=/")))
        expected = json.loads(policy)["Statement"][0]["Condition"]["ByteRange"]["ExpectedHeader"]
    expires = query.get("Expires", "")
    right = signature(secret, f"{path}\n{expected}\n{expires}")
    if not hmac.compare_digest(query.get("Signature", "").encode(), right.encode()):
        return None
    return expected, float(expires)


def signature(secret: bytes, text: str) -> str:
    """The signature of anything."""
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
