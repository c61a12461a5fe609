"""Where a file's bytes are: the engine's word, which resolving answers with."""

from __future__ import annotations

from hfdmd.transfer.job import Target

__all__ = ["Target"]
