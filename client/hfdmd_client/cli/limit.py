"""`hfdm limit`: shows or sets the bandwidth limit."""

from __future__ import annotations

import click

from hfdmd.wire.types import Settings, SettingsPatch
from hfdmd.wire.units import UnitError, format_rate, parse_rate
from hfdmd_client.cli.session import Session, standard

EPILOG = """\b
Examples:
  hfdm limit              show it
  hfdm limit 20MB/s       all downloads together; survives a restart
  hfdm limit none         no limit
  hfdm limit default      the limit of config.toml and the environment"""


@click.command(epilog=EPILOG)
@click.argument("speed", nargs=-1)
@standard
def limit(session: Session, speed: tuple[str, ...]) -> int:
    """Show the bandwidth limit, or set it to SPEED: 20MB/s, 500kB/s, 2.5MiB/s, none or default."""
    text = " ".join(speed).strip()
    if not text:
        settings = session.client().settings()
    elif text.lower() == "default":
        settings = session.client().change_settings(SettingsPatch(bandwidth_limit=None))
    else:
        try:
            wanted = parse_rate(text)
        except UnitError as error:
            raise click.BadParameter(str(error), param_hint="SPEED") from error
        settings = session.client().change_settings(SettingsPatch(bandwidth_limit=wanted))
    if session.json:
        session.out_json(settings)
    else:
        session.out(describe(settings))
    return 0


def describe(settings: Settings) -> str:
    """The limit, and whether a schedule may override it."""
    now = format_rate(settings.bandwidth_limit) if settings.bandwidth_limit else "none"
    return f"{now} (a schedule with {len(settings.schedule)} rules may override it)" if settings.schedule else now
