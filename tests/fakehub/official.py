"""Runs the official huggingface_hub client, unchanged, in a process and a HOME of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TIMEOUT_S = 60


def environment(endpoint: str, home: Path, **more: str) -> dict[str, str]:
    """An environment in which the official client knows this Hub and this HOME only."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING")) and k in _KEPT}
    hub = {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return {**kept, **hub, "HOME": str(home), "HF_HOME": str(home / "hf"), "NO_PROXY": "127.0.0.1", **more}


def official(script: str, endpoint: str, home: Path, **more: str) -> Any:
    """Runs `script`, which has `from huggingface_hub import *`; its variable `result` is returned through JSON.

    An exception in it is returned as {"error": its class's name, "text": its message}.
    """
    program = f"""
import json
from huggingface_hub import *
try:
    {script.strip().replace(chr(10), chr(10) + "    ")}
except Exception as problem:
    result = {{"error": type(problem).__name__, "text": str(problem)}}
print(json.dumps(result))
"""
    command = [sys.executable, "-c", program]
    environ = environment(endpoint, home, **more)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def hf(endpoint: str, home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs the `hf` command."""
    command = [str(Path(sys.executable).with_name("hf")), *arguments]
    environ = environment(endpoint, home, **more)
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV")
