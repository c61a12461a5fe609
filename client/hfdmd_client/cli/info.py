"""`hfdm info`: version, paths, counts and limits of the daemon."""

from __future__ import annotations

import click

from hfdmd.wire.types import Info
from hfdmd.wire.units import format_rate, format_size
from hfdmd_client.cli import limit as limits
from hfdmd_client.cli import tables
from hfdmd_client.cli.session import Session, standard


@click.command()
@standard
def info(session: Session) -> int:
    """Show the daemon: version, where it listens, cache and Hub, counts, speed, limits."""
    client = session.client()
    known = client.info()
    if session.json:
        session.out_json(known)
        return 0
    settings = client.settings()
    tables.print_facts(
        [
            ("version", f"{known.version} (API {known.api_version})"),
            ("process", str(known.pid)),
            ("socket", known.socket or "none"),
            ("url", known.url or "none"),
            ("Hub", known.hub_endpoint),
            ("cache", known.cache_dir),
            ("state", known.state_dir),
            ("Hub token", "the daemon has one" if known.has_hub_token else "the daemon has none"),
            ("free disk", format_size(known.free_bytes)),
            ("downloads", counts(known)),
            ("speed", format_rate(known.bytes_per_second)),
            ("limit", limits.describe(settings)),
            ("at once", f"{settings.max_active_downloads} downloads, {settings.max_connections} connections"),
        ]
    )
    return 0


def counts(known: Info) -> str:
    """`2 downloading, 5 queued`; `none` when there is nothing."""
    shown = [f"{number} {status.value}" for status, number in known.counts.items() if number]
    return ", ".join(shown) or "none"
