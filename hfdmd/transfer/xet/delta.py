"""Delta: chunks of a file that are in other files on this machine are copied instead of fetched.

A term names content absolutely, by xorb and chunk numbers, so equal chunks are found without reading anything. The hash
of the whole file judges the result: a base that is not what it was costs a fetch, never a wrong file.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import stat
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

from hfdmd.aio import in_thread, yielding
from hfdmd.durable import disk_reason, opened
from hfdmd.failure import Failure
from hfdmd.transfer.disk.part_file import PartFile
from hfdmd.transfer.job import Access, Base, Job, XetFile
from hfdmd.transfer.spans import Spans
from hfdmd.transfer.transport import TransferError
from hfdmd.transfer.xet.cas_client import CasClient, Term
from hfdmd.transfer.xet.recipes import Lengths, Recipe, RecipeStore
from hfdmd.wire.types import Reason

MIN_FILE_BYTES = 1 << 20
"""Smaller files are not worth a question."""
BLOCK_BYTES = 1 << 30
"""How much of a file one question is about."""
COPY_BYTES = 32 << 20
MAX_BASES = 16
MAX_PROBES = 64
"""Questions about single bytes, for one base."""
ASK_AGAIN_S = 300.0
ASK_S = 10.0
"""A store that does not answer within this time is not waited for: the file is fetched instead."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Copy:
    """Bytes of a base that the file has too."""

    source_start: int
    start: int
    size_bytes: int


@dataclass(slots=True, eq=False)
class Delta:
    """What the transfers of the daemon need to reuse content."""

    cas: CasClient
    recipes: RecipeStore
    _no_guesses_before: float = -math.inf
    """When the store may be asked again about files without bases in their own repo: it did not answer."""

    async def reuse(self, job: Job, xet: XetFile, part: PartFile, have: Spans, recipe: Recipe) -> Spans:
        """Copy into `part` what `have` lacks and other files hold; add it to `have`, and return what was copied.

        What is learned about the file's chunks is added to `recipe`. Copied bytes are not synced yet. Never fails
        because of the store or of a base; OSError when the disk is full.
        """
        copied = Spans()
        async for base, copies in self._found(xet, job.size_bytes or 0, have, recipe):
            for copy in copies:
                await self._copy(job, part, base, copy, have, copied)
        return copied

    async def reusable_bytes(self, xet: XetFile, size_bytes: int) -> int:
        """How many bytes of a file of this size `reuse` would copy, if bases are what they seem to be."""
        have = Spans()
        async for base, copies in self._found(xet, size_bytes, have, Recipe()):
            if await in_thread(_is_there, base):
                for copy in copies:
                    have.add(copy.start, copy.start + copy.size_bytes)
        return have.total_bytes

    async def _found(
        self, xet: XetFile, size_bytes: int, have: Spans, recipe: Recipe
    ) -> AsyncIterator[tuple[Base, list[Copy]]]:
        """Bases, the best first, and what each has in common with the file; until `have` is complete."""
        if size_bytes < MIN_FILE_BYTES:
            return
        try:
            async with asyncio.timeout(ASK_S):
                bases = (await xet.bases())[:MAX_BASES]
        except TimeoutError:
            _log.info("Xet %s: the Hub did not say which files here are other revisions of it", xet.hash[:12])
            bases = []
        if not bases and (time.monotonic() < self._no_guesses_before or await in_thread(self.recipes.is_empty)):
            return
        try:
            async with asyncio.timeout(ASK_S):
                new = await self._terms(xet.hash, xet.access, have.missing(size_bytes), size_bytes)
        except (TransferError, Failure, TimeoutError) as error:
            _log.info("Xet %s: not looked for in other files: %s", xet.hash[:12], error)
            self._no_guesses_before = time.monotonic() + ASK_AGAIN_S
            return
        recipe.add(new)
        known = {base.hash for base in bases}
        for name in await in_thread(self.recipes.sharing, {term.xorb for term in new}):
            if name not in known and name != xet.hash and (base := xet.by_hash(name)) is not None:
                bases.append(base)
        for base in bases[:MAX_BASES]:
            if have.total_bytes == size_bytes:
                return
            try:
                async with asyncio.timeout(ASK_S):
                    copies = await self._matches(xet, new, base, recipe.lengths, size_bytes)
            except (TransferError, Failure, TimeoutError) as error:
                _log.info("%s is not reused: %s", base.path, error)
                continue
            yield base, copies

    async def _terms(
        self, file_hash: str, access: Access, spans: Iterable[tuple[int, int]], size_bytes: int
    ) -> list[Term]:
        """The terms of a file within `spans`."""
        recipe = Recipe()
        for start, end in spans:
            for at in range(start, end, BLOCK_BYTES):
                answer = await self.cas.reconstruct(access, file_hash, at, min(end, at + BLOCK_BYTES), size_bytes)
                recipe.add(answer.terms)
        return recipe.terms

    async def _matches(
        self, xet: XetFile, new: list[Term], base: Base, lengths: Lengths, size_bytes: int
    ) -> list[Copy]:
        """What the file and the base have in common. Raises when the store does not let this caller see the base."""
        if not base.is_of_same_repo:
            await base.access(None)  # only who may read the base's repo may have copies of its files
        recipe = await in_thread(self.recipes.get, base.hash)
        if recipe is None:
            terms = await self._terms(base.hash, base.access, [(0, base.size_bytes)], base.size_bytes)
            recipe = Recipe()
            recipe.add(terms)
        await in_thread(lengths.merge, recipe.lengths)
        file_probe = _Probe(self.cas, xet.hash, xet.access, size_bytes, lengths)
        base_probe = _Probe(self.cas, base.hash, base.access, base.size_bytes, lengths)
        found: list[Copy] = []
        complete: Term | None = None
        async for term, old in yielding(_pairs(new, recipe.terms)):
            if term is not complete and max(term.first, old.first) < min(term.last, old.last):
                copy = await _overlap(term, old, lengths, file_probe, base_probe)
                if copy is not None:
                    found.append(copy)
                    complete = term if copy.size_bytes == term.size_bytes else None
        return found

    async def _copy(self, job: Job, part: PartFile, base: Base, copy: Copy, have: Spans, copied: Spans) -> None:
        for start, end in have.missing(copy.start + copy.size_bytes, copy.start):
            while start < end:
                offset = copy.source_start + start - copy.start
                count = await in_thread(_copy_range, part, base, offset, start, min(end - start, COPY_BYTES))
                if not count:
                    return
                have.add(start, start + count)
                copied.add(start, start + count)
                start += count
                job.meter.reused_bytes += count
                job.meter.downloaded_bytes = have.total_bytes


@dataclass(slots=True, eq=False)
class _Probe:
    """Finds where a chunk begins in a file by asking which chunk is at a byte: usually the first guess is right.

    Files that share content do so at a constant distance for long.
    """

    cas: CasClient
    file_hash: str
    access: Access
    size_bytes: int
    lengths: Lengths
    distance: int = 0
    """How far the last chunk that was found is behind where a chunk of the other file was."""
    asked: int = 0

    async def find(self, term: Term, index: int, elsewhere: int) -> int | None:
        """The offset at which chunk `index` of `term` begins; `elsewhere`: where it, or a near one, is in the other."""
        low, low_at, high, high_at = term.first, term.start, term.last, term.end
        guess = elsewhere + self.distance
        while self.asked < MAX_PROBES and low < index < high:
            if not low_at <= guess < high_at:
                guess = low_at + (high_at - low_at) * (index - low) // (high - low)
            self.asked += 1
            answer = await self.cas.reconstruct(self.access, self.file_hash, guess, guess + 1, self.size_bytes)
            chunk = answer.terms[0]
            if chunk.xorb != term.xorb or chunk.last != chunk.first + 1:
                return None
            self.lengths.add(chunk.xorb, chunk.first, chunk.size_bytes)
            if chunk.first <= index <= chunk.last:
                at = chunk.start if chunk.first == index else chunk.end
                self.distance = at - elsewhere
                return at
            if chunk.first > index:
                high, high_at = chunk.first, chunk.start
            else:
                low, low_at = chunk.last, chunk.end
            guess = -1
        return low_at if index == low else high_at if index == high else None


def _pairs(new: list[Term], old: list[Term]) -> Iterator[tuple[Term, Term]]:
    """Every new term with the old ones of its xorb; of old ones with the same chunks, as in runs of zeros, with one."""
    by_xorb: dict[str, dict[tuple[int, int], Term]] = {}
    for term in old:
        by_xorb.setdefault(term.xorb, {})[term.first, term.last] = term
    return ((term, other) for term in new for other in by_xorb.get(term.xorb, {}).values())


async def _overlap(new: Term, old: Term, lengths: Lengths, file_probe: _Probe, base_probe: _Probe) -> Copy | None:
    """Where the chunks that two terms of one xorb share are in each file; asks at most about one of the files."""
    first, last = max(new.first, old.first), min(new.last, old.last)
    new_start, new_end = _offset(new, first, lengths), _offset(new, last, lengths)
    old_start, old_end = _offset(old, first, lengths), _offset(old, last, lengths)
    size_bytes = lengths.sum(new.xorb, first, last)
    if size_bytes is None:
        size_bytes = _first_distance((new_start, new_end), (old_start, old_end))
    if new_start is None and new_end is not None and size_bytes is not None:
        new_start = new_end - size_bytes
    if old_start is None and old_end is not None and size_bytes is not None:
        old_start = old_end - size_bytes
    if old_start is None:
        old_start = await base_probe.find(old, first, new.start if new_start is None else new_start)
    if new_start is None:
        new_start = await file_probe.find(new, first, old.start if old_start is None else old_start)
    if size_bytes is None:
        size_bytes = _first_distance((new_start, new_end), (old_start, old_end))
    if new_start is None or old_start is None or size_bytes is None:
        return None
    if size_bytes <= 0 or new_start + size_bytes > new.end or old_start + size_bytes > old.end:
        return None
    return Copy(old_start, new_start, size_bytes)


def _first_distance(*ends: tuple[int | None, int | None]) -> int | None:
    """From start to end of the first pair that is known; None without one."""
    return next((end - start for start, end in ends if start is not None and end is not None), None)


def _offset(term: Term, index: int, lengths: Lengths) -> int | None:
    """Where chunk `index` begins in the file, as far as it is known."""
    if index == term.first:
        return term.start
    if index == term.last:
        return term.end
    if (before := lengths.sum(term.xorb, term.first, index)) is not None:
        return term.start + before
    after = lengths.sum(term.xorb, index, term.last)
    return None if after is None else term.end - after


def _copy_range(part: PartFile, base: Base, source_start: int, start: int, count: int) -> int:
    """In a thread. Returns how many bytes were copied; 0 when the base is gone, has changed its size or is unreadable.

    Raises OSError when the disk is full.
    """
    try:
        with opened(base.path, 0) as fd:
            if _is_whole(os.fstat(fd), base):
                return part.copy_from(fd, source_start, start, count)
    except OSError as error:
        if disk_reason(error) is Reason.DISK_FULL:
            raise
        _log.info("%s is not reused: %s", base.path, error.strerror)
    return 0


def _is_there(base: Base) -> bool:
    try:
        return _is_whole(os.stat(base.path), base)
    except OSError:
        return False


def _is_whole(known: os.stat_result, base: Base) -> bool:
    return stat.S_ISREG(known.st_mode) and known.st_size == base.size_bytes
