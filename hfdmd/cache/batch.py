"""Doing something for many files at once: grouped by where they go, and none takes the others along when it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hfdmd.cache import fs_ops, layout
from hfdmd.failure import Failure
from hfdmd.record import FileSpec

T = TypeVar("T")
I = TypeVar("I", bound=tuple[Any, ...])  # noqa: E741 - an item: a tuple that begins with its FileSpec


def attempt(step: Callable[[], T], spec: FileSpec) -> T | Failure:
    """A step's result, or why it failed; `spec` names the place, for the detail."""
    try:
        return step()
    except Failure as failure:
        return failure
    except OSError as error:
        return fs_ops.failure_of(error, layout.shown(spec))


def by_folder(items: Sequence[I], handle: Callable[[list[I]], Sequence[T]]) -> list[T | Failure]:
    """`handle` called for each group of items that go to one repo's cache folder or one local folder.

    Results are in the order of the items. What stops a whole group is each of its items' failure.
    """
    groups: dict[tuple[str, bool], list[int]] = {}
    for index, item in enumerate(items):
        spec: FileSpec = item[0]
        where = spec.local_dir or f"{spec.repo_type.value} {spec.model_repo}"
        groups.setdefault((where, spec.confined), []).append(index)
    results: dict[int, T | Failure] = {}
    for indices in groups.values():
        group = [items[index] for index in indices]
        done = attempt(lambda group=group: handle(group), group[0][0])  # type: ignore[misc]
        outcomes = [done] * len(group) if isinstance(done, Failure) else done
        results.update(zip(indices, outcomes, strict=True))
    return [results[index] for index in range(len(items))]
