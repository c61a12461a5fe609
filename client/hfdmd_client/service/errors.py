"""The one error of this package."""

from __future__ import annotations


class ServiceError(Exception):
    """What was asked for cannot work here, or a manager refused it. The text says why, and what would work."""
