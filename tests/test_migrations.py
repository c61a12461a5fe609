"""Stored documents of any older version become the present one, step by step."""

from __future__ import annotations

import pytest

from hfdmd.migrations import (
    SETTINGS_MIGRATIONS,
    TRACKER_MIGRATIONS,
    Document,
    Migration,
    NewerSchema,
    migrate,
    schema_version,
)
from hfdmd.record import SCHEMA_VERSION


def step(name: str) -> Migration:
    def change(document: Document) -> Document:
        return {**document, "steps": [*document["steps"], name]}

    return change


STEPS = (step("1 to 2"), step("2 to 3"), step("3 to 4"))


@pytest.mark.parametrize(("version", "skipped"), [(None, 0), (1, 0), (2, 1), (3, 2), (4, 3)])
def test_the_steps_from_its_version_on_are_applied_in_order(version: int | None, skipped: int) -> None:
    document: Document = {"steps": []} | ({} if version is None else {"schemaVersion": version})
    before = dict(document)
    names = ["1 to 2", "2 to 3", "3 to 4"][skipped:]
    assert migrate(document, STEPS) == {"steps": names, "schemaVersion": 4}
    assert document == before


def test_a_newer_document_is_refused_with_both_versions() -> None:
    with pytest.raises(NewerSchema, match="its schema version is 5, this hfdmd reads up to 4"):
        migrate({"schemaVersion": 5}, STEPS)


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None])
def test_a_version_that_is_not_a_positive_integer_is_refused(version: object) -> None:
    with pytest.raises(ValueError, match="schemaVersion"):
        migrate({"schemaVersion": version}, STEPS)


def test_new_trackers_bear_the_version_that_the_migrations_lead_to() -> None:
    assert schema_version(TRACKER_MIGRATIONS) == SCHEMA_VERSION
    assert schema_version(SETTINGS_MIGRATIONS) == len(SETTINGS_MIGRATIONS) + 1
