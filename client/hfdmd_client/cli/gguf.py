"""Groups the GGUF files of a repo by quantisation, split files together. Pure.

Source of the names: llama.cpp's quantisation types, and its `-00001-of-00003` suffix of split files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from hfdmd.wire.types import RepoFile

_QUANT = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP\d(?:_MOE)?|NVFP4|BF16|F16|F32|FP16|FP32))(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})$")


@dataclass(slots=True)
class Group:
    """One quantisation: its name, its files, and their size in bytes (None if the size of one is unknown)."""

    name: str
    paths: list[str] = field(default_factory=list)
    size_bytes: int | None = 0
    cached: bool = True


def groups(files: Iterable[RepoFile]) -> list[Group]:
    """The quantisations among `files`, smallest first. Projectors (`mmproj`) are groups of their own."""
    found: dict[str, Group] = {}
    for file in files:
        name, dot, ending = file.file_path.rpartition(".")
        if not dot or ending.lower() != "gguf":
            continue
        split = _SPLIT.search(name)
        stem = name[: split.start()] if split else name
        group = found.setdefault(stem, Group(_label(stem)))
        group.paths.append(file.file_path)
        known = group.size_bytes is not None and file.size is not None
        group.size_bytes = (group.size_bytes or 0) + (file.size or 0) if known else None
        group.cached = group.cached and file.cached
    return sorted(found.values(), key=lambda group: (group.size_bytes or 0, group.name))


def _label(stem: str) -> str:
    """`Q4_K_M` of `Qwen3-0.6B-Q4_K_M`, also when only the folder has it; else the file name."""
    own = stem.rpartition("/")[2]
    quants = _QUANT.findall(own) or _QUANT.findall(stem)
    label: str = quants[-1].upper() if quants else own
    return f"{label} (mmproj)" if "mmproj" in own.lower() else label
