"""Decodes requests to typed values. Every error names the field and says which values are valid."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar, get_args
from urllib.parse import unquote_to_bytes

import msgspec
from aiohttp import web

from hfdmd.api.open_connections import REQUEST_S
from hfdmd.api.responses import TooSlow
from hfdmd.wire import validate
from hfdmd.wire.errors import InvalidField, Malformed, TooLarge, UnsupportedMediaType
from hfdmd.wire.routes import ALIASES, Param
from hfdmd.wire.types import HUB_TOKEN_HEADER, Day, RepoType, Selector, Status

MAX_BODY_BYTES = 1 << 20
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]+)`")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TOKEN = re.compile(r"[!-~]{1,4096}")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
"""msgspec alone would accept `1e3` and `1.0`, too."""
_MISSING = re.compile(r"missing required field `([^`]+)`")

_ENUMS: dict[str, tuple[str, ...]] = {"repoType": tuple(RepoType), "status": tuple(Status), "days": get_args(Day)}

_NAMES: dict[str, Callable[[str], str]] = {
    "modelRepo": validate.repo_id,
    "filePath": validate.file_path,
    "revision": validate.revision,
    "localDir": validate.local_dir,
}

T = TypeVar("T", bound=msgspec.Struct)


def hub_token(request: web.Request) -> str | None:
    """The caller's Hub token, from the header of `HUB_TOKEN_HEADER`. Raises `InvalidField`, without the token."""
    given = request.headers.getall(HUB_TOKEN_HEADER, [])
    if not given or given == [""]:
        return None
    if len(given) > 1 or not _TOKEN.fullmatch(given[0]):
        what = "must be one Hub token: printable ASCII without blanks"
        raise InvalidField(f"{HUB_TOKEN_HEADER} {what}", field=HUB_TOKEN_HEADER)
    return given[0]


async def json_body(request: web.Request, kind: type[T]) -> T:
    """The body as `kind`; the request must have no query.

    Raises `Malformed`, `UnsupportedMediaType`, `TooLarge`, `InvalidField`.
    """
    query(request, ())
    if request.content_type != "application/json" or len(request.headers.getall("Content-Type", [])) != 1:
        raise UnsupportedMediaType("send the body with Content-Type: application/json")
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType("the charset of JSON must be UTF-8")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the body without Content-Encoding")
    try:
        async with asyncio.timeout(REQUEST_S):
            data = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge(f"the body must have at most {MAX_BODY_BYTES} bytes") from None
    except TimeoutError:
        raise TooSlow(f"the body did not arrive within {REQUEST_S:.0f} s") from None
    value = parsed(data)
    if not isinstance(value, dict):
        raise InvalidField("the body must be a JSON object", field="body")
    return convert(without_aliases(value), kind)


def parsed(data: bytes) -> Any:
    """Parse JSON strictly by RFC 8259: UTF-8, no NaN, no duplicate keys (readers disagree on which value counts).

    Raises `Malformed`.
    """
    try:
        return _decoder.decode(data.decode())
    except RecursionError:
        raise Malformed("the body is nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"the body is not JSON: {error}") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object has a duplicate key")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _number(text: str) -> float | int:
    """`2.0` and `2e0` are the integer 2, as in JSON Schema; a value that a double does not hold exactly is a float."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


_decoder = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_no_constant, parse_float=_number)


def query(request: web.Request, params: tuple[Param, ...]) -> dict[str, Any]:
    """The query's parameters by name, typed.

    Raises `InvalidField` for an unknown, repeated or ill-typed one, `Malformed` for text that is not percent-encoded
    UTF-8.
    """
    known = {param.name: param for param in params}
    raw: dict[str, str] = {}
    if _BROKEN_ESCAPE.search(request.rel_url.raw_query_string):
        raise Malformed("the query has a % without two hexadecimal digits")
    try:
        unquote_to_bytes(request.rel_url.raw_query_string).decode()
    except UnicodeError:
        raise Malformed("the query is not UTF-8") from None
    for name, value in request.query.items():
        name = ALIASES.get(name, name)
        if name not in known:
            known_ones = f"known are: {', '.join(known)}" if known else "this call takes none"
            raise InvalidField(f"unknown parameter {name!r}; {known_ones}", field=name)
        if name in raw:
            raise InvalidField(f"{name} is given more than once", field=name)
        raw[name] = value
    return {name: _typed(name, value, known[name].schema) for name, value in raw.items()}


def _typed(name: str, value: str, kind: Any) -> Any:
    if kind is bool and value not in ("true", "false"):
        raise InvalidField(f"{name} must be true or false", field=name)
    if kind not in (bool, str) and name not in _ENUMS and not _NUMBER.fullmatch(value):
        raise InvalidField(f"{name} must be an integer", field=name)
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidField(_message(str(error), name), field=name) from None


def without_aliases(value: dict[str, Any]) -> dict[str, Any]:
    """The object with aliases of keys replaced. Raises `InvalidField` when a key is given in both spellings."""
    renamed: dict[str, Any] = {}
    for name, item in value.items():
        plain = ALIASES.get(name, name)
        if plain in renamed:
            raise InvalidField(f"{plain} is given in two spellings", field=plain)
        renamed[plain] = item
    return renamed


def convert(value: Mapping[str, Any], kind: type[T]) -> T:
    """`value` as `kind`. Raises `InvalidField` with the name of the field."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        for pattern in (_UNKNOWN, _MISSING, _PATH):
            if found := pattern.search(text):
                field = found.group(1) or "body"
                if pattern is _UNKNOWN and not _PATH.search(text):
                    known = ", ".join(one.encode_name for one in msgspec.structs.fields(kind))
                    raise InvalidField(f"unknown field {field!r}; known are: {known}", field=field) from None
                raise InvalidField(_message(_PATH.sub("", text), field), field=field) from None
        raise InvalidField(text, field="body") from None
    except UnicodeEncodeError:  # half a surrogate pair in a key
        raise InvalidField("a field name is not valid Unicode", field="body") from None


def _message(text: str, field: str) -> str:
    """The error message for a field: msgspec's text, or the valid words of an enum."""
    words = _ENUMS.get(field.rpartition(".")[2].partition("[")[0], ())
    return f"{field} must be one of {', '.join(words)}" if text.startswith("Invalid enum value") else f"{field}: {text}"


def check_selector(selector: Selector, *, may_be_empty: bool = False) -> None:
    """Check for `{id}`, `{modelRepo, …}` or `{"all": true}`, each with `status?`. Raises `InvalidField`."""
    given = msgspec.to_builtins(selector)
    for name in ("all", "inCache"):
        if given.get(name) is False:
            raise InvalidField(f"{name} must be true or omitted", field=name)
    kinds = [name for name in ("id", "modelRepo", "all") if name in given]
    if len(kinds) > 1:
        raise InvalidField("give one of id, modelRepo and all", field="all" if "all" in given else "id")
    for name in ("filePath", "revision", "repoType", "localDir", "inCache"):
        if name in given and "modelRepo" not in given:
            raise InvalidField(f"{name} needs modelRepo", field=name)
    if not kinds and not may_be_empty:
        raise InvalidField('a selector is needed: id, modelRepo or "all": true', field="id")
    if "localDir" in given and "inCache" in given:
        raise InvalidField("give one of localDir and inCache", field="inCache")
    if given.get("id") == "":
        raise InvalidField("id is empty", field="id")
    for name, check in _NAMES.items():
        if name in given:
            check(given[name])
