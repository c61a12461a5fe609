"""What a hostile CAS may answer: tables of lies for parametrized tests. No lie may end in a file with a final name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import lz4.frame

from tests.fakehub.cas import Forge
from tests.fakehub.xet_format import BG4, HEADER_BYTES, LZ4, MAX_RAW_BYTES, header

BOMB_BYTES = 32 << 20
"""What a bomb unpacks to; packed it fits into one chunk."""
FULL_U24 = (1 << 24) - 1

Change = Callable[[Any], Any]


def only(index: int, lie: Forge) -> Forge:
    """The lie for one chunk of each xorb; the others are right."""
    return lambda at, stored: lie(at, stored) if at == index else stored


def _relabelled(**fields: int | Callable[[int], int]) -> Forge:
    """The chunk with other fields in its header: a number, or a function of the right one."""

    def forge(index: int, stored: bytes) -> bytes:
        right = {
            "packed_bytes": int.from_bytes(stored[1:4], "little"),
            "scheme": stored[4],
            "raw_bytes": int.from_bytes(stored[5:8], "little"),
        }
        said = {name: value if isinstance(value, int) else value(right[name]) for name, value in fields.items()}
        return header(**{**right, **said}) + stored[HEADER_BYTES:]

    return forge


def _repacked(payload: Callable[[bytes], bytes], scheme: int = LZ4) -> Forge:
    """The chunk with another payload, made of the right one, and a header that is right but for the raw length."""

    def forge(index: int, stored: bytes) -> bytes:
        made = payload(stored[HEADER_BYTES:])
        return header(len(made), scheme, int.from_bytes(stored[5:8], "little")) + made

    return forge


_BOMB = lz4.frame.compress(bytes(BOMB_BYTES), store_size=False)
_BOMB_WITH_SIZE = lz4.frame.compress(bytes(BOMB_BYTES), store_size=True)

LYING_CHUNKS: dict[str, Forge] = {
    "version": _relabelled(version=1),
    "scheme unknown": _relabelled(scheme=3),
    "scheme auto": _relabelled(scheme=99),
    "scheme of plain bytes": _relabelled(scheme=LZ4),
    "raw length one more": _relabelled(raw_bytes=lambda right: right + 1),
    "raw length one less": _relabelled(raw_bytes=lambda right: right - 1),
    "raw length 0": _relabelled(raw_bytes=0),
    "raw length above the limit": _relabelled(raw_bytes=MAX_RAW_BYTES + 1),
    "raw length as large as can be": _relabelled(raw_bytes=FULL_U24),
    "packed length one more": _relabelled(packed_bytes=lambda right: right + 1),
    "packed length one less": _relabelled(packed_bytes=lambda right: right - 1),
    "packed length 0": _relabelled(packed_bytes=0),
    "packed length as large as can be": _relabelled(packed_bytes=FULL_U24),
    "LZ4 bomb": _repacked(lambda right: _BOMB),
    "LZ4 bomb with its size": _repacked(lambda right: _BOMB_WITH_SIZE),
    "LZ4 bomb, grouped": _repacked(lambda right: _BOMB, BG4),
    "LZ4 frame that is cut": _repacked(lambda right: lz4.frame.compress(right, store_size=False)[:-20]),
    "LZ4 frame too short": _repacked(lambda right: lz4.frame.compress(right[:-1], store_size=False)),
    "LZ4 frame and more behind it": _repacked(lambda right: lz4.frame.compress(right, store_size=False) + b"more"),
    "LZ4 frames, two": _repacked(lambda right: lz4.frame.compress(right, store_size=False) * 2),
    "LZ4 no frame": _repacked(lambda right: b"\xff" * 100),
    "no payload": _repacked(lambda right: b"", 0),
    "other bytes": _repacked(lambda right: bytes(byte ^ 1 for byte in right), 0),
}
"""What is stored for a chunk (uploaded with scheme NONE) instead of the right bytes.

In a file whose chunks are all stored plainly: `hub.cas.add(content, schemes=[NONE], forge=only(3, lie))`.
"""


def _set(path: str, value: Any) -> Change:
    """A change of one place: keys and indices separated by "/", "*" for the first key of an object.

    `value` may be a function of the right one.
    """

    def change(said: Any) -> Any:
        made = copy.deepcopy(said)
        parent, key = _place(made, path)
        parent[key] = value(parent[key]) if callable(value) else value
        return made

    return change


def _without(path: str) -> Change:
    """A change that leaves one place out."""

    def change(said: Any) -> Any:
        made = copy.deepcopy(said)
        parent, key = _place(made, path)
        del parent[key]
        return made

    return change


def _place(said: Any, path: str) -> tuple[Any, Any]:
    keys = path.split("/")
    for at, name in enumerate(keys):
        key: Any = int(name) if isinstance(said, list) else next(iter(said)) if name == "*" else name
        if at == len(keys) - 1:
            return said, key
        said = said[key]
    raise ValueError(path)


def _more(right: int) -> int:
    return right + 1


def _less(right: int) -> int:
    return right - 1


def _million(said: Any) -> bytes:
    term = json.dumps(said["terms"][0]).encode()
    head = json.dumps({**said, "terms": []}).encode()
    return head.replace(b'"terms": []', b'"terms": [' + b",".join([term] * 1_000_000) + b"]", 1)


_TERM, _ENTRY = "terms/0", "xorbs/*/0"
_SIGNED = f"{_ENTRY}/ranges/0"

LYING_RECONSTRUCTIONS: dict[str, Change] = {
    "a million terms": _million,
    "no terms": _set("terms", []),
    "terms missing": _without("terms"),
    "terms twice": _set("terms", lambda right: right * 2),
    "first term missing": _without(_TERM),
    "offset negative": _set("offset_into_first_range", -1),
    "offset beyond the first term": _set("offset_into_first_range", 1 << 40),
    "offset is text": _set("offset_into_first_range", "0"),
    "offset one more": _set("offset_into_first_range", _more),
    "term one byte longer": _set(f"{_TERM}/unpacked_length", _more),
    "term one byte shorter": _set(f"{_TERM}/unpacked_length", _less),
    "term of 0 bytes": _set(f"{_TERM}/unpacked_length", 0),
    "term of less than 0 bytes": _set(f"{_TERM}/unpacked_length", -5),
    "term of a terabyte": _set(f"{_TERM}/unpacked_length", 1 << 40),
    "term with a fraction": _set(f"{_TERM}/unpacked_length", 1.5),
    "term of an unknown xorb": _set(f"{_TERM}/hash", "0" * 64),
    "term of a path": _set(f"{_TERM}/hash", "../../../../tmp/x"),
    "term of no chunks": _set(f"{_TERM}/range", {"start": 1, "end": 1}),
    "term backwards": _set(f"{_TERM}/range", {"start": 2, "end": 1}),
    "term before the first chunk": _set(f"{_TERM}/range/start", -1),
    "term beyond its ranges": _set(f"{_TERM}/range/end", _more),
    "term of billions of chunks": _set(f"{_TERM}/range/end", 1 << 40),
    "xorbs missing": _without("xorbs"),
    "xorbs empty": _set("xorbs", {}),
    "ranges empty": _set(f"{_ENTRY}/ranges", []),
    "bytes backwards": _set(f"{_SIGNED}/bytes", {"start": 5, "end": 1}),
    "bytes negative": _set(f"{_SIGNED}/bytes/start", -5),
    "bytes one more than signed": _set(f"{_SIGNED}/bytes/end", _more),
    "bytes of a terabyte": _set(f"{_SIGNED}/bytes/end", 1 << 40),
    "chunks more than there are": _set(f"{_SIGNED}/chunks/end", _more),
    "chunks fewer than there are": _set(f"{_SIGNED}/chunks/end", _less),
    "chunks of billions": _set(f"{_SIGNED}/chunks/end", 1 << 40),
    "url of a file": _set(f"{_ENTRY}/url", "file:///etc/passwd"),
    "url without a host": _set(f"{_ENTRY}/url", "http:///xorbs/default/x"),
    "url with a line end": _set(f"{_ENTRY}/url", lambda right: right + " HTTP/1.1\r\nX-Injected: 1"),
    "url that is relative": _set(f"{_ENTRY}/url", "/xorbs/default/x"),
    "url of 10 MB": _set(f"{_ENTRY}/url", lambda right: right + "&x=" + "x" * 10_000_000),
    "url missing": _without(f"{_ENTRY}/url"),
    "no JSON": lambda said: b"<html>not what you want</html>",
    "JSON that is cut": lambda said: json.dumps(said).encode()[:-10],
    "a list": lambda said: [said],
    "null": lambda said: None,
    "nested deeply": lambda said: b"[" * 200_000,
    "invalid UTF-8": lambda said: b'{"terms": "\xff"}',
}
"""Changes of a version 2 answer: `hub.fault("o/n", "@reconstructions", Fault.edit(change))`."""

LYING_TOKENS: dict[str, Change] = {
    "CAS without TLS elsewhere": _set("casUrl", "http://cas.example.invalid"),
    "CAS in a file": _set("casUrl", "file:///etc"),
    "CAS with a user": _set("casUrl", lambda right: right.replace("://", "://user:secret@")),
    "CAS with a line end": _set("casUrl", lambda right: right + "/\r\nX-Injected: 1"),
    "CAS missing": _without("casUrl"),
    "CAS is a number": _set("casUrl", 5),
    "token missing": _without("accessToken"),
    "token with a line end": _set("accessToken", "x\r\nX-Injected: 1"),
    "token of 10 MB": _set("accessToken", "x" * 10_000_000),
    "token that is not ASCII": _set("accessToken", "tökén"),
    "token expired long ago": _set("exp", 1),
    "expiry is text": _set("exp", "soon"),
    "no JSON": lambda said: b"<html>please sign in</html>",
    "a list": lambda said: [said],
}
"""Changes of the Hub's token answer, body only: `hub.fault("o/n", "@xet-read-token", Fault.edit(change))`."""


def cas_elsewhere(cas_url: str) -> Change:
    """The token answer that names another CAS: one that may record the token."""
    return _set("casUrl", cas_url)
