"""Ordered migrations of stored JSON: tracker files and `settings.json`. Pure.

Migration number n of a tuple changes a document of schema version n to version n + 1. A release that changes a stored
format appends one and changes no older one, so any older version can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Document = dict[str, Any]
Migration = Callable[[Document], Document]

TRACKER_MIGRATIONS: tuple[Migration, ...] = ()
SETTINGS_MIGRATIONS: tuple[Migration, ...] = ()


class NewerSchema(Exception):
    """The document was written by a newer hfdmd and cannot be read by this one."""

    def __init__(self, version: int, known: int) -> None:
        super().__init__(f"its schema version is {version}, this hfdmd reads up to {known}")


def schema_version(migrations: Sequence[Migration]) -> int:
    """The version that all migrations lead to."""
    return len(migrations) + 1


def migrate(document: Document, migrations: Sequence[Migration]) -> Document:
    """`document` in the present schema version; one without `schemaVersion` is of version 1.

    Raises `NewerSchema`, and ValueError for a version that is not a positive integer.
    """
    version = document.get("schemaVersion", 1)
    present = schema_version(migrations)
    if type(version) is not int or version < 1:
        raise ValueError(f"schemaVersion is {version!r}")
    if version > present:
        raise NewerSchema(version, present)
    for migration in migrations[version - 1 :]:
        document = migration(document)
    return {**document, "schemaVersion": present}
