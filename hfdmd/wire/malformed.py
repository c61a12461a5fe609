"""The exceptions that decoding raises for malformed input."""

from __future__ import annotations

import msgspec

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Not JSON or of another type; not UTF-8; nested too deeply."""
