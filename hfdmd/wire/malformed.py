"""What decoding raises for bytes that are not what they should be."""

from __future__ import annotations

import msgspec

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Not JSON, or of another shape; not UTF-8; nested so deep that no honest sender would."""
