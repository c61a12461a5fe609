"""`hfdm download --dry-run`: what a download would do."""

from __future__ import annotations

from collections.abc import Sequence

from hfdmd.wire.repo_content import DownloadPlan
from hfdmd.wire.units import format_size
from hfdmd_client.cli import tables
from hfdmd_client.cli.session import Session


def show_plans(session: Session, plans: Sequence[DownloadPlan]) -> int:
    """Print the plans of one command; exit code 1 when what is to be fetched does not fit on the disk."""
    fetch_bytes = sum(plan.fetch_bytes for plan in plans)
    fits = all(plan.fits for plan in plans)
    if session.json:
        session.out_json(plans[0] if len(plans) == 1 else list(plans))
        return 0 if fits else 1
    rows = [file for plan in plans for file in plan.files]
    tables.print_table(
        ("size", "here", "file"),
        [(format_size(file.size), "yes" if file.cached else "", file.file_path) for file in rows],
        right=frozenset({0}),
    )
    count = sum(plan.files_total for plan in plans)
    if count > len(rows):
        session.say(f"… and {count - len(rows)} more files")
    here_bytes = sum(plan.cached_bytes for plan in plans)
    reusable_bytes = sum(plan.reusable_bytes for plan in plans)
    session.say(
        f"{count} file{'s' * (count != 1)}, {format_size(sum(plan.total_bytes for plan in plans))}:"
        f" {format_size(here_bytes)} here already"
        + (f", {format_size(reusable_bytes)} to be copied from other files here" if reusable_bytes else "")
        + f", {format_size(fetch_bytes)} to download"
    )
    free = f"{format_size(plans[0].free_bytes)} free"
    session.say(f"It fits: {free}." if fits else f"It does not fit: needs {format_size(fetch_bytes)}, {free}.")
    return 0 if fits else 1
