"""`hfdm doctor`: checks what downloads need, and suggests fixes."""

from __future__ import annotations

import sys

import click

from hfdmd.wire.types import Check, CheckState
from hfdmd_client.cli.session import FAILED, Session, clean_lines, fitted, standard

_MARKS = {CheckState.OK: "✓", CheckState.WARNING: "!", CheckState.PROBLEM: "✗"}
_STYLES = {CheckState.OK: "green", CheckState.WARNING: "yellow", CheckState.PROBLEM: "red"}


@click.command()
@click.option("--offline", is_flag=True, help="Do not contact the Hub.")
@standard
def doctor(session: Session, offline: bool) -> int:
    """Check daemon, socket, versions, folders, disks, tokens, proxy, Hub, clock, downloads and service; suggest fixes.

    The daemon judges, by its own rules; when none runs, its program does. Changes nothing and starts nothing. The
    exit code is 1 when there is a problem, 0 otherwise.
    """
    from hfdmd_client.cli import checks

    findings = checks.all_checks(session, offline)
    if session.json:
        session.out_json(findings)
    else:
        _print(findings)
    return FAILED if any(finding.state is CheckState.PROBLEM for finding in findings) else 0


def _print(findings: list[Check]) -> None:
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        _print_one(finding, f"{finding.what.ljust(width)}  ")


def _print_one(finding: Check, name: str) -> None:
    indent = " " * (len(name) + 2)
    text = fitted(clean_lines(f"{_MARKS[finding.state]} {name}{finding.found}"), sys.stdout, indent)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        shown = Text.assemble((text[0], _STYLES[finding.state]), text[1:])
        Console(highlight=False, soft_wrap=True).print(shown)
    else:
        print(text)
    for line in finding.cure.splitlines():
        print(fitted(clean_lines(f"{indent}→ {line}"), sys.stdout, f"{indent}  "))
