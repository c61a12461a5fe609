"""Work on many files at once, grouped by folder. Failures are per file; a failed one does not affect the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hfdmd.cache import fs_ops, layout
from hfdmd.failure import Failure
from hfdmd.record import FileSpec

T = TypeVar("T")
I = TypeVar("I", bound=tuple[Any, ...])  # noqa: E741 - an item: a tuple whose first element is its FileSpec


def attempt(step: Callable[[], T], spec: FileSpec) -> T | Failure:
    """The result of `step`, or why it failed; the detail names the file of `spec`."""
    try:
        return step()
    except Failure as failure:
        return failure
    except OSError as error:
        return fs_ops.failure_of(error, layout.describe(spec))


def by_folder(items: Sequence[I], handle: Callable[[list[I]], Sequence[T]]) -> list[T | Failure]:
    """Call `handle` for each group of items of the same cache folder or local folder.

    Returns the results in the order of the items. A failure of a whole group is the result of each of its items.
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
