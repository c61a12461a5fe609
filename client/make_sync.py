"""Writes the blocking client from the asyncio one, as httpcore's unasync.py does.

    python client/make_sync.py           write the files
    python client/make_sync.py --check   fail when one of them is not up to date

Needs ruff, which formats the result.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "hfdmd_client"
FILES = {"async_client.py": "client.py", "async_transport.py": "transport.py"}
RULES = (
    (r"\bawait asyncio\.to_thread\(([\w.]+), ", r"\1("),
    (r"\bawait ", ""),
    (r"\[(\w+) async for \1 in (\S+)\]", r"list(\2)"),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bfor (\w+) in (.+):\n +yield \1\n", r"yield from \2\n"),
    (r"\bAsyncGenerator\[(.+), None\]", r"Generator[\1, None, None]"),
    (r"\bAsync(Client|Generator)\b", r"\1"),
    (r"\basync_(callback|client|connection|transport)\b", r"\1"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\ba(closing|close)\b", r"\1"),
    (r"\banext\b", "next"),
    (r"\bfor asyncio programs\b", "for blocking programs"),
    (r"\basyncio\b", "time"),  # `asyncio.sleep` is what is left
)


def synchronous(source: Path) -> str:
    """The blocking form of `source`, with a header that names it."""
    text = source.read_text()
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    text = f"# Generated from {source.name} by client/make_sync.py. Do not edit.\n{text}"
    for arguments in (("check", "--quiet", "--fix", "--select", "I"), ("format", "--quiet")):
        command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(PACKAGE / FILES[source.name]), "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return text


def main() -> int:
    stale = []
    for name, target_name in FILES.items():
        target, text = PACKAGE / target_name, synchronous(PACKAGE / name)
        if target.exists() and target.read_text() == text:
            continue
        if "--check" in sys.argv[1:]:
            stale.append(target_name)
        else:
            target.write_text(text)
    for name in stale:
        print(f"{name} is not up to date; run: python client/make_sync.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
