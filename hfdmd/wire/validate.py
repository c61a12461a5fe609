"""Validation of names: repo ids, revisions, file paths, folders. Pure; used by daemon and clients.

Input is untrusted: `..`, absolute paths of POSIX and Windows, NUL and control characters, backslashes, names longer
than a file system allows. Rules of repo ids: `huggingface_hub.utils.validate_repo_id`.
"""

from __future__ import annotations

import os
import re

from hfdmd.wire.errors import InvalidField

MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255
MAX_REVISION_BYTES = 244  # git's own limit for a ref name within a 255-byte file name and its lock suffix

# As patterns of JSON Schema, which the OpenAPI document shows. They cannot count bytes.
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_LETTER = r"[^/\\\u0000-\u001f\u007f-\u009f\u2028\u2029]"
_FOLDER_LETTER = r"[^/\u0000-\u001f\u007f-\u009f\u2028\u2029]"
_REF_LETTER = r"[^/\u0000-\u0020\u007f-\u009f\u2028\u2029~^:?*\[\\]"
_NO_DOTS = r"(?!\.{1,2}(?:/|$))"
_REF_PART = rf"(?!\.)(?![^/]*\.(?:lock)?(?:/|$)){_REF_LETTER}+"
REPO_ID_PATTERN = rf"^(?!.*(?:--|\.\.))(?!.*\.git(?:/|$)){_PART}(?:/{_PART})?$"
FILE_PATH_PATTERN = rf"^(?![A-Za-z]:){_NO_DOTS}{_LETTER}{{1,255}}(?:/{_NO_DOTS}{_LETTER}{{1,255}})*$"
REVISION_PATTERN = rf"^(?!.*(?:\.\.|@\{{)){_REF_PART}(?:/{_REF_PART})*$"
LOCAL_DIR_PATTERN = rf"^/(?:{_NO_DOTS}{_FOLDER_LETTER}{{1,255}}(?:/{_NO_DOTS}{_FOLDER_LETTER}{{1,255}})*)?$"
GLOB_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"

_REPO_ID = re.compile(REPO_ID_PATTERN)
_REVISION = re.compile(REVISION_PATTERN)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DRIVE = re.compile(r"^[A-Za-z]:")


def repo_id(value: str) -> str:
    """`value` if it is a legal repo id (`name` or `owner/name`). Raises `InvalidField`."""
    if not _REPO_ID.fullmatch(value):
        raise InvalidField(
            "modelRepo must look like 'owner/name': letters, digits, '-', '_' and '.', at most 96 per part,"
            f" no '--', no '..' and no '.git' at the end; not {_quoted(value)}",
            field="modelRepo",
        )
    return value


def revision(value: str) -> str:
    """`value` if it can name a branch, tag, commit or `refs/pr/N` (git-check-ref-format). Raises `InvalidField`."""
    if not _REVISION.fullmatch(value) or not _is_encodable(value) or len(value.encode()) > MAX_REVISION_BYTES:
        detail = f"revision must be a branch, tag, commit or refs/pr/N, not {_quoted(value)}"
        raise InvalidField(detail, field="revision")
    return value


def path_problem(value: str) -> str | None:
    """Why `value` is not a valid path of a file inside a repo; None if it is."""
    if not value:
        return "is empty"
    if not _is_encodable(value):
        return "is not valid Unicode"
    if _CONTROL.search(value):
        return "has a control character"
    if "\\" in value:
        return "has a backslash"
    if value.startswith("/") or _DRIVE.match(value):
        return "is absolute"
    if len(value.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    for part in value.split("/"):
        if part in ("", ".", ".."):
            return f"has the component {part!r}"
        if len(part.encode()) > MAX_NAME_BYTES:
            return f"has a name longer than {MAX_NAME_BYTES} bytes"
    return None


def file_path(value: str) -> str:
    """`value` if it is a relative POSIX path that stays inside its folder. Raises `InvalidField`."""
    if problem := path_problem(value):
        raise InvalidField(
            f"filePath must be the path of a file inside the repo, like 'onnx/model.onnx'; {_quoted(value)} {problem}",
            field="filePath",
        )
    return value


def local_dir(value: str, field: str = "localDir") -> str:
    """`value` if it is an absolute, normalised folder. Raises `InvalidField`."""
    problem = None
    if not value or not value.startswith("/") or value.startswith("//"):
        problem = "is not absolute"
    elif not _is_encodable(value) or _CONTROL.search(value):
        problem = "has a control character"
    elif os.path.normpath(value) != value:
        problem = f"is not normalised (it would be {_quoted(os.path.normpath(value))})"
    elif len(value.encode()) > MAX_PATH_BYTES or any(len(p.encode()) > MAX_NAME_BYTES for p in value.split("/")):
        problem = "is too long"
    if problem:
        raise InvalidField(f"{field} must be an absolute, normalised path; {_quoted(value)} {problem}", field=field)
    return value


def glob(value: str, field: str) -> str:
    """`value` if it can be a glob of repo paths. Raises `InvalidField`."""
    if not value or not _is_encodable(value) or _CONTROL.search(value) or len(value) > 1024:
        raise InvalidField(f"{field} must hold globs like '*.safetensors', not {_quoted(value)}", field=field)
    return value


def _is_encodable(value: str) -> bool:
    """False for lone surrogates, which JSON allows in strings and no file system accepts."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quoted(value: str) -> str:
    """`value` for an error message: quoted, escaped and not longer than a line."""
    text = ascii(value)
    return text if len(text) <= 100 else f"{text[:80]}… ({len(value)} characters)"
