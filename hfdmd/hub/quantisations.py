"""Groups the GGUF files of a repo by quantisation: split files together, with the projector that belongs to them. Pure.

Sources: llama.cpp's quantisation types, its `-00001-of-00003` suffix of split files, and its `mmproj` prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hfdmd.wire.repo_content import Quantisation

_TYPES = r"I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP\d(?:_MOE)?|NVFP4|BF16|F16|F32|FP16|FP32"
_QUANTISATION = re.compile(rf"(?<![A-Za-z0-9])((?:UD-)?(?:{_TYPES}))(?![A-Za-z0-9])", re.IGNORECASE)
_SPLIT = re.compile(r"-\d{5}-of-\d{5}$")
_BITS = re.compile(r"\d+")
_ENDING = ".gguf"

_PREFERRED = "Q4_K_M"
_PREFERRED_BITS = 4.4
"""Q4_K_M is the usual recommendation; without it the nearest number of bits, rather more than fewer."""
_SUFFIXES = ("_K_M", "_K_XL", "_K_L", "_K_S", "_K", "_1", "_0", "")
_PROJECTORS = ("F16", "FP16", "BF16", "F32", "FP32", "Q8_0")


def is_gguf(path: str) -> bool:
    """Whether `path` can be a file of a quantisation."""
    return path.lower().endswith(_ENDING)


def quantisations(files: Iterable[tuple[str, int | None]]) -> list[Quantisation]:
    """The quantisations among `files` (path and size in bytes), smallest first; one of them is recommended.

    `files` of each are all that is to be downloaded: its parts, and the projector (`mmproj`) when the repo has one.
    """
    models: dict[str, list[tuple[str, int | None]]] = {}
    projectors: list[tuple[str, int | None]] = []
    for path, size in sorted(files):
        if not is_gguf(path):
            continue
        stem = path[: -len(_ENDING)]
        name = stem.rpartition("/")[2].lower()
        if "mmproj" in name:
            projectors.append((path, size))
        elif "imatrix" not in name:  # calibration data of the quantisation, not a model
            models.setdefault(_SPLIT.sub("", stem), []).append((path, size))
    projector = min(projectors, key=_projector_rank, default=None)
    found: dict[str, Quantisation] = {}
    for stem, parts in sorted(models.items(), key=lambda model: (model[0].count("/"), model[0])):
        name = _label(stem)
        if name in found:  # another model of the same quantisation
            name = stem
        wanted = parts if projector is None else [*parts, projector]
        found[name] = Quantisation(
            name=name,
            files=[path for path, _ in wanted],
            mmproj=None if projector is None else projector[0],
            total_bytes=_total([size for _, size in wanted]),
            recommended=False,
        )
    if found:
        found[min(found, key=_distance)].recommended = True
    return sorted(found.values(), key=lambda one: (one.total_bytes or 0, one.name))


def _label(stem: str) -> str:
    """`Q4_K_M` of `Qwen3-0.6B-Q4_K_M`, also when only the folder has it; else the file's name."""
    own = stem.rpartition("/")[2]
    names: list[str] = _QUANTISATION.findall(own) or _QUANTISATION.findall(stem)
    return names[-1].upper() if names else own


def _total(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _projector_rank(file: tuple[str, int | None]) -> tuple[int, str]:
    label = _label(file[0][: -len(_ENDING)])
    return _PROJECTORS.index(label) if label in _PROJECTORS else len(_PROJECTORS), file[0]


def _distance(name: str) -> tuple[bool, float, bool, int, str]:
    """How far a quantisation is from the preferred one."""
    plain = name.removeprefix("UD-")
    bits = _BITS.search(plain) if _QUANTISATION.fullmatch(name) else None
    suffix = next(number for number, ending in enumerate(_SUFFIXES) if plain.endswith(ending))
    distance = abs(int(bits.group()) - _PREFERRED_BITS) if bits else float("inf")
    return name != _PREFERRED, distance, not plain.startswith("Q"), suffix, name
