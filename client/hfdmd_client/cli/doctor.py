"""`hfdm doctor`: is everything there that downloads need, and if not, what helps?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from hfdmd_client.cli.session import FAILED, Session, standard

if TYPE_CHECKING:
    from hfdmd_client.cli.checks import Finding

_MARKS = {"ok": "✓", "warning": "!", "problem": "✗"}
_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@click.option("--offline", is_flag=True, help="Do not ask the Hub anything.")
@standard
def doctor(session: Session, offline: bool) -> int:
    """Check daemon, socket, versions, Hub, token, disk, cache, proxy, clock and service; say what to do.

    Changes nothing and starts nothing. The exit code is 1 when there is a problem, 0 otherwise.
    """
    from hfdmd_client.cli import checks

    findings = checks.all_checks(session, offline)
    if session.json:
        session.out_json(findings)
    else:
        _print(session, findings)
    return FAILED if any(finding.state == "problem" for finding in findings) else 0


def _print(session: Session, findings: list[Finding]) -> None:
    width = max(len(finding.what) for finding in findings)
    console = None
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        mark, rest = _MARKS[finding.state], f"{finding.what.ljust(width)}  {finding.found}"
        if console is None:
            session.out(f"{mark} {rest}")
        else:
            from rich.text import Text

            console.print(Text.assemble((mark, _STYLES[finding.state]), " ", rest))
        for line in finding.cure.splitlines():
            session.out(f"  {' ' * width}  → {line}")
