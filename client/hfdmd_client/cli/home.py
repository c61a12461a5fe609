"""`hfdm` without a verb: the state in a few lines, and what to type next. It starts no daemon."""

from __future__ import annotations

from hfdmd.wire.errors import ApiError
from hfdmd.wire.types import Downloads, Info, Settings, Status
from hfdmd.wire.units import format_rate, format_size
from hfdmd_client.cli import render, tables
from hfdmd_client.cli.session import Session
from hfdmd_client.errors import DaemonUnreachable
from hfdmd_client.event_state import Item, items_of

_NAMED = 3
_NEXT = (
    ("hfdm download owner/name", "a whole repo; add a file, --include GLOB, or :Q4_K_M"),
    ("hfdm watch", "everything live"),
    ("hfdm --help", "all verbs"),
)


def show(session: Session) -> int:
    """Print the state and the next commands. Exit code 0: without a daemon nothing is wrong."""
    client = session.quiet_client(spawn=False)
    try:
        info = client.hello(any_version=True)
        facts = _facts(info, client.settings(), client.downloads(limit=1000))
    except DaemonUnreachable:
        facts = [("daemon", "not running; the first download starts it")]
    except ApiError as error:
        facts = [("daemon", render.clean(error.detail))]
    tables.print_facts(facts)
    print()
    for command, meaning in _NEXT:
        print(f"  {command.ljust(26)}{meaning}")
    return 0


def _facts(info: Info, settings: Settings, found: Downloads) -> list[tuple[str, str]]:
    limit = f", limit {format_rate(settings.bandwidth_limit)}" if settings.bandwidth_limit else ""
    by_status = {status: _asked_for(found, status) for status in Status}
    waiting = by_status[Status.QUEUED] + by_status[Status.PAUSED]
    return [
        ("daemon", f"running, version {info.version}, pid {info.pid}"),
        ("moving", _named(by_status[Status.DOWNLOADING], f"{format_rate(info.bytes_per_second)}{limit}")),
        ("waiting", _named(waiting)),
        *([("failed", _named(by_status[Status.FAILED]))] if by_status[Status.FAILED] else []),
        ("disk", f"{format_size(info.free_bytes)} free at {info.cache_dir}"),
    ]


def _asked_for(found: Downloads, status: Status) -> list[Item]:
    """What was asked for: repo downloads, and files that belong to none."""
    return [item for item in items_of(found) if item.status is status and not getattr(item, "repo_ids", [])]


def _named(items: list[Item], more: str = "") -> str:
    if not items:
        return "nothing"
    names = ", ".join(render.title(item) for item in items[:_NAMED])
    rest = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return f"{names}{rest}{f', {more}' if more else ''}"
