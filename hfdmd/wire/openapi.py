"""The OpenAPI 3.1 document, generated from the wire types and the route table so that it cannot drift.

`python -m hfdmd.wire.openapi FILE` writes it, `--check FILE` fails when FILE is not current.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from hfdmd import __version__
from hfdmd.wire import errors, validate
from hfdmd.wire import types as t
from hfdmd.wire.routes import JSON, ROUTES, SSE, Param, Route

COMMON_ERRORS = ("unauthorized", "forbidden_origin", "forbidden_host", "malformed", "invalid_field", "internal")
"""Errors of every call: access rules run before every handler, and all refuse unknown parameters."""

_NAMES: dict[str, dict[str, Any]] = {
    "id": {"minLength": 1},
    "modelRepo": {"pattern": validate.REPO_ID_PATTERN},
    "filePath": {"pattern": validate.FILE_PATH_PATTERN, "maxLength": validate.MAX_PATH_BYTES},
    "revision": {"pattern": validate.REVISION_PATTERN, "maxLength": validate.MAX_REVISION_BYTES},
    "localDir": {"pattern": validate.LOCAL_DIR_PATTERN, "maxLength": validate.MAX_PATH_BYTES},
}
"""Syntax of names, as far as a pattern can express it; `hfdmd.wire.validate` is decisive."""

_NEEDS_REPO = {name: ["modelRepo"] for name in ("filePath", "revision", "repoType", "localDir", "inCache")}
_SELECTOR_RULES = {
    "oneOf": [{"required": ["id"]}, {"required": ["modelRepo"]}, {"required": ["all"]}],
    "dependentRequired": _NEEDS_REPO,
    "not": {"required": ["localDir", "inCache"]},
}
_RULES: dict[str, dict[str, Any]] = {
    "Selector": _SELECTOR_RULES,
    "DeleteRequest": _SELECTOR_RULES,
    "ReorderRequest": {
        **_SELECTOR_RULES,
        "allOf": [{"oneOf": [{"required": ["priority"]}, {"required": ["position"]}]}],
    },
    "DownloadRequest": {
        "not": {"required": ["filePath"], "anyOf": [{"required": ["include"]}, {"required": ["exclude"]}]}
    },
}
"""Which fields of a request may be combined."""

_EVENTS = (t.Download, t.RepoDownload, t.Removed, t.End)

_HUB_TOKEN = {
    "name": t.HUB_TOKEN_HEADER,
    "in": "header",
    "required": False,
    "description": "The caller's own Hub token, for the questions of this request only. Kept in memory only.",
    # Blanks around a header's value are not part of it (RFC 9110, section 5.5); an empty one is none.
    "schema": {"type": "string", "pattern": "^[ \\t]*[!-~]{0,4096}[ \\t]*$"},
}

_STREAM_TEXT = (
    f"Server-sent events: `{t.EventName.PROGRESS}` with a Download, `{t.EventName.REPO}` with a RepoDownload,"
    f" `{t.EventName.REMOVED}` with an id, `{t.EventName.READY}` after the present state, `{t.EventName.END}` with the"
    " reason. Every event has an id."
)


def document(version: str) -> dict[str, Any]:
    """The document. `version` is that of the daemon."""
    bodies: list[Any] = [t.Problem, *_EVENTS]
    for route in ROUTES:
        bodies += [kind for body in (route.body, *route.answers.values()) for kind in _kinds(body)]
        bodies += [param.schema for param in route.query]
    schemas, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    for name, rules in _RULES.items():
        _add_rules(components[name], rules)
    by_type = {repr(body): schema for body, schema in zip(bodies, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hfdmd",
            "version": version,
            "summary": "Hugging Face Download Manager daemon",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "the daemon's Unix socket, or its TCP address with a token"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary, "responses": {}}
    if route.query:
        operation["parameters"] = [_parameter(param, by_type) for param in route.query]
    if route.asks_hub:
        operation.setdefault("parameters", []).append(_HUB_TOKEN)
    if route.body is not None:
        operation["requestBody"] = {
            "required": not route.query,
            "content": {JSON: {"schema": by_type[repr(route.body)]}},
        }
    for status, body in route.answers.items():
        kinds = [by_type[repr(kind)] for kind in _kinds(body)]
        schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {"type": "string"}
        content: dict[str, Any] = {route.media: {"schema": schema}}
        if route.stream:
            content[SSE] = {"schema": {"type": "string", "description": _STREAM_TEXT}}
        operation["responses"][str(status)] = {"description": _SUCCESS[status], "content": content}
    if route.stream:
        operation["responses"]["204"] = {"description": "Nothing has changed since the `end` of the previous stream."}
    for status, codes in sorted(_by_status((*route.errors, *COMMON_ERRORS)).items()):
        operation["responses"][str(status)] = response = {
            "description": " or ".join(f"`{code}`" for code in codes),
            "content": {errors.PROBLEM_MEDIA_TYPE: {"schema": by_type[repr(t.Problem)]}},
        }
        if status == 503:
            response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return operation


def _add_rules(schema: dict[str, Any], rules: dict[str, Any]) -> None:
    """Add to a body what its type does not express: the syntax of names, and which fields may be combined."""
    schema.update(rules)
    for name, syntax in _NAMES.items():
        found = schema["properties"].get(name)
        if found is not None:
            texts = [kind for kind in found.get("anyOf", [found]) if kind.get("type") == "string"]
            texts[0].update(syntax)
    for name in ("include", "exclude"):
        for kind in schema["properties"].get(name, {}).get("anyOf", []):
            if kind["type"] == "array":
                kind["items"]["pattern"] = validate.GLOB_PATTERN
    for name in ("all", "inCache"):
        if name in schema["properties"]:
            schema["properties"][name]["enum"] = [True]


_SUCCESS = {200: "The present state.", 202: "Queued by this call."}


def _parameter(param: Param, by_type: dict[str, Any]) -> dict[str, Any]:
    aliases = f" Also spelled {', '.join(f'`{alias}`' for alias in param.aliases)}." if param.aliases else ""
    return {
        "name": param.name,
        "in": "query",
        "required": param.required,
        "description": param.description + aliases,
        "schema": by_type[repr(param.schema)] | _NAMES.get(param.name, {}),
    }


def _by_status(codes: tuple[str, ...]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        for status in errors.statuses(code):
            found.setdefault(status, []).append(code)
    return found


def _kinds(body: Any) -> tuple[Any, ...]:
    """The types of a response body."""
    if body is None:
        return ()
    return body if isinstance(body, tuple) else (body,)


def main(arguments: list[str]) -> int:
    """Write the document, or with `--check` fail if the file is not current."""
    check = "--check" in arguments
    files = [argument for argument in arguments if argument != "--check"]
    if len(files) != 1:
        print("usage: python -m hfdmd.wire.openapi [--check] FILE", file=sys.stderr)
        return 2
    text = msgspec.json.format(msgspec.json.encode(document(__version__), order="sorted"), indent=2) + b"\n"
    file = Path(files[0])
    if not check:
        file.write_bytes(text)
    elif not file.exists() or file.read_bytes() != text:
        print(f"{file} is not current: run python -m hfdmd.wire.openapi {file}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
