"""Downloads as text for a terminal, without control characters."""

from __future__ import annotations

from hfdmd.wire.types import Download, Phase, RepoDownload, Status
from hfdmd.wire.units import format_duration, format_rate, format_size
from hfdmd_client.errors import describe_repo

_STYLES = {
    Status.DOWNLOADING: "cyan",
    Status.QUEUED: "magenta",  # blue is unreadable on a dark terminal
    Status.PAUSED: "yellow",
    Status.FAILED: "red",
    Status.CANCELLED: "dim",
    Status.DONE: "green",
}
STATUS_ORDER = tuple(_STYLES)
"""The order in which lists show downloads."""


def clean(text: str) -> str:
    """`text` without control characters and changes of writing direction, which a terminal would execute.

    Joiners and soft hyphens stay: names in Persian, Indic scripts and emoji need them.
    """
    if text.isprintable():  # nearly always; saves loading the Unicode tables
        return text
    import unicodedata

    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _UNSAFE and c not in _JOINERS else c for c in text
    )


_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}\N{SOFT HYPHEN}"


def squeeze(text: str, width: int) -> str:
    """`text` in at most `width` characters; cut in the middle, because both ends of a file name matter."""
    if len(text) <= width:
        return text
    if width < 3:
        return text[:width]
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def cut(text: str, width: int) -> str:
    """`text` in at most `width` characters; cut at the end, as sentences are."""
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"[:width]


def style(status: Status) -> str:
    """rich's style for a status."""
    return _STYLES[status]


def repo_name(item: Download | RepoDownload) -> str:
    """The repo as `hfdm` accepts it, with its type and revision where they are not the defaults."""
    return clean(describe_repo(item))


def title(item: Download | RepoDownload) -> str:
    """A unique name of the download: repo, file or globs, and the folder if it is not the cache."""
    if isinstance(item, Download):
        return f"{repo_name(item)} {file_name(item)}"
    return f"{repo_name(item)} {_globs(item)}{files_done(item)}{_folder(item)}"


def file_name(item: Download) -> str:
    """The file, and its folder if that is not the cache."""
    return f"{clean(item.file_path)}{_folder(item)}"


def _globs(repo: RepoDownload) -> str:
    chosen = [*(repo.include or ()), *(f"not {glob}" for glob in repo.exclude or ())]
    return f"{clean(', '.join(chosen))} " if chosen else ""


def _folder(item: Download | RepoDownload) -> str:
    return "" if item.local_dir is None else f" → {clean(item.local_dir)}"


def files_done(repo: RepoDownload) -> str:
    """`3/12 files`, `? files` before the files are listed."""
    if repo.files_total is None:
        return "(files not listed yet)"
    return f"({repo.files_done}/{repo.files_total} files)"


def is_transferring(item: Download | RepoDownload) -> bool:
    """Whether bytes are expected, rather than a listing, a check or a rename."""
    return item.phase is None or item.phase is Phase.TRANSFERRING


def state(item: Download | RepoDownload) -> str:
    """The status: for a running download its phase, for one that waits why."""
    if waits(item):
        return f"{item.status.value}: {reason(item)}"
    if item.status is Status.DOWNLOADING and item.phase is not None and not is_transferring(item):
        return item.phase.value
    if item.status is Status.QUEUED and item.queue_position is not None:
        return f"queued #{item.queue_position}"
    return item.status.value


def waits(item: Download | RepoDownload) -> bool:
    """Whether something that will pass keeps it from going on: then no speed and no time left are true."""
    return item.status in (Status.DOWNLOADING, Status.QUEUED) and item.reason is not None


def reason(item: Download | RepoDownload) -> str:
    """The reason as words; empty without one."""
    return "" if item.reason is None else item.reason.value.replace("_", " ")


def why(item: Download | RepoDownload) -> str:
    """Why it waits, with the sentence of the daemon."""
    return f"{reason(item)}: {clean(item.detail)}" if item.detail else reason(item)


def percent(item: Download | RepoDownload) -> str:
    """`45.0%`; empty while the size is unknown."""
    return "" if item.total_bytes is None and item.status is not Status.DONE else f"{item.progress:.1f}%"


def amount(item: Download | RepoDownload) -> str:
    """`40.9 MB of 90.9 MB`, or only the size when it is complete."""
    if item.total_bytes is None:
        return format_size(item.downloaded_bytes) if item.downloaded_bytes else ""
    if item.downloaded_bytes >= item.total_bytes:
        return format_size(item.total_bytes)
    return f"{format_size(item.downloaded_bytes)} of {format_size(item.total_bytes)}"


def reused(item: Download | RepoDownload) -> str:
    """`97.0 MB of 105.0 MB were here already`; empty when nothing was copied."""
    if not item.reused_bytes or item.total_bytes is None:
        return ""
    return f"{format_size(item.reused_bytes)} of {format_size(item.total_bytes)} were here already"


def speed(item: Download | RepoDownload) -> str:
    return format_rate(item.bytes_per_second) if item.status is Status.DOWNLOADING and not waits(item) else ""


def eta(item: Download | RepoDownload) -> str:
    return format_duration(item.eta_seconds) if item.status is Status.DOWNLOADING and not waits(item) else ""


def line(item: Download | RepoDownload) -> str:
    """Title, status and progress in one line."""
    facts = [fact for fact in (percent(item), amount(item), reused(item), speed(item)) if fact]
    if remaining := eta(item):
        facts.append(f"{remaining} left")
    if (waits(item) or item.status in (Status.FAILED, Status.QUEUED, Status.PAUSED)) and item.detail:
        facts = [clean(item.detail)]
    return f"{title(item)}: {state(item)}{', ' if facts else ''}{', '.join(facts)}"


def facts(item: Download | RepoDownload) -> list[tuple[str, str]]:
    """Names and values of all that is known about it."""
    known = [
        ("status", state(item)),
        ("progress", ", ".join(fact for fact in (percent(item), amount(item)) if fact)),
        ("reused", reused(item)),
        ("transport", item.transport or "" if isinstance(item, Download) else ""),
        ("speed", speed(item)),
        ("time left", eta(item)),
        ("why", item.detail or ""),
        ("retry at", item.retry_at or "" if isinstance(item, Download) else ""),
        ("path", item.path or ""),
        ("commit", item.commit or ""),
        ("digest", item.digest or "" if isinstance(item, Download) else ""),
        ("requested", item.created_at),
        ("id", item.id),
    ]
    return [(name, value) for name, value in known if value]
