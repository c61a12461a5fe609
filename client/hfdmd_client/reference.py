"""Parses what users write for a repo or a file: `owner/name`, `owner/name:Q4_K_M`, a URL of the Hub, `hf://…`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from hfdmd.wire import validate
from hfdmd.wire.errors import InvalidField

_HOSTS = {"huggingface.co", "www.huggingface.co", "hf.co", "hub-ci.huggingface.co"}
_TYPES = {"datasets": "dataset", "spaces": "space", "models": "model"}
_FILE_PAGES = {"blob", "resolve", "raw", "blame", "edit", "delete"}
_FOLDER_PAGES = {"tree"}
_OTHER_PAGES = {"commits", "commit", "discussions", "settings", "viewer", "community"}
_TAGGED = re.compile(r"(?P<repo>.*[^/:]):(?P<tag>[A-Za-z0-9][A-Za-z0-9._-]*)(?P<revision>@[^:]+)?")
LATEST = "latest"
"""The quantisation that is recommended, as ollama writes it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A repo, perhaps with a revision, and a file or a folder in it, or a GGUF quantisation."""

    model_repo: str
    repo_type: str | None = None
    revision: str | None = None
    file_path: str | None = None
    folder: str | None = None
    quantisation: str | None = None


def parse(text: str, env: Mapping[str, str] = os.environ) -> Reference:
    """`text` as a reference. Raises `InvalidField` with an explanation when it is not one."""
    given = text.strip()
    tagged = _TAGGED.fullmatch(given)
    if tagged is None:
        return _untagged(given, env)
    found = _untagged(tagged["repo"] + (tagged["revision"] or ""), env)
    if found.file_path is not None or found.folder is not None:
        return _untagged(given, env)
    return replace(found, quantisation=tagged["tag"])


def _untagged(given: str, env: Mapping[str, str]) -> Reference:
    if given.startswith("hf://"):
        found = _hf_uri(given[len("hf://") :])
    elif "://" in given:
        found = _url(given, env)
    elif given.split("/", 1)[0].lower() in _HOSTS:
        found = _url(f"https://{given}", env)
    else:
        found = _plain(given)
    return _checked(found)


def _plain(given: str) -> Reference:
    parts, repo_type = _split_type(given.strip("/").split("/"))
    if len(parts) > 2:
        suggestion = "/".join(parts[:2])
        raise InvalidField(
            f"{given!r} is not a repo: that is owner/name. For a file of it: hfdm download {suggestion}"
            f" {'/'.join(parts[2:])}",
            field="modelRepo",
        )
    name, _, revision = parts[-1].partition("@")
    return Reference("/".join([*parts[:-1], name]), repo_type, revision or None)


def _hf_uri(rest: str) -> Reference:
    """`hf://[datasets/]owner/name[@revision][/path]`. Source: HfFileSystem of huggingface_hub."""
    before, at, after = rest.partition("@")
    parts, repo_type = _split_type(before.strip("/").split("/"))
    repo, path = "/".join(parts[:2]), "/".join(parts[2:])
    revision = None
    if at:
        revision, path = _split_revision(after)
        repo = "/".join(parts)
    return Reference(repo, repo_type, revision, unquote(path) or None)


def _url(given: str, env: Mapping[str, str]) -> Reference:
    """A page or a file of the Hub's web site, or of `HF_ENDPOINT`."""
    parts = urlsplit(given)
    path = parts.path
    endpoint = urlsplit(env.get("HF_ENDPOINT") or "")
    if (parts.hostname or "") not in _HOSTS:
        if not endpoint.hostname or parts.netloc != endpoint.netloc:
            known = f"huggingface.co{f' or {endpoint.netloc}' if endpoint.netloc else ''}"
            raise InvalidField(f"{given!r} is not a URL of {known}", field="modelRepo")
        path = path.removeprefix(endpoint.path.rstrip("/"))
    segments = [segment for segment in path.strip("/").split("/") if segment]
    if segments[:1] == ["api"]:
        segments = segments[1:]
    segments, repo_type = _split_type(segments)
    pages = _FILE_PAGES | _FOLDER_PAGES | _OTHER_PAGES
    owner_given = not (len(segments) > 1 and segments[1] in pages)
    repo, rest = segments[: 2 if owner_given else 1], segments[2 if owner_given else 1 :]
    found = Reference(unquote("/".join(repo)), repo_type)
    if not rest or (rest[0] in _OTHER_PAGES):
        return found
    if rest[0] not in _FILE_PAGES | _FOLDER_PAGES or len(rest) < 2:
        raise InvalidField(f"{given!r} is a page of the Hub, but not of a repo or a file", field="modelRepo")
    revision, inside = _split_revision("/".join(rest[1:]))
    inside = unquote(inside)
    if rest[0] in _FOLDER_PAGES:
        return replace(found, revision=revision, folder=inside or None)
    return replace(found, revision=revision, file_path=inside or None)


def _split_revision(text: str) -> tuple[str | None, str]:
    """Splits `main/a/b` into revision and path. `refs/pr/1` is one revision, with or without encoded slashes."""
    segments = text.split("/")
    count = 3 if segments[0] == "refs" and len(segments) >= 3 else 1
    return unquote("/".join(segments[:count])) or None, "/".join(segments[count:])


def _split_type(segments: list[str]) -> tuple[list[str], str | None]:
    if len(segments) > 1 and segments[0] in _TYPES:
        return segments[1:], _TYPES[segments[0]]
    return segments, None


def _checked(found: Reference) -> Reference:
    validate.repo_id(found.model_repo)
    if found.revision is not None:
        validate.revision(found.revision)
    if found.file_path is not None:
        validate.file_path(found.file_path)
    if found.folder is not None:
        validate.file_path(found.folder)
    return found
