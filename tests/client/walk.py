"""Runs what a page shows: console blocks line by line in one shell, Python blocks each as a program."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.fakehub import HubServer, seeded

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT = re.compile(r"#.*\bexit (\d+)\b")
_REPO = re.compile(r"(?:hf://|huggingface\.co/)?(datasets/|spaces/)?([A-Za-z][\w.-]*/[A-Za-z][\w.-]*)")
_MARK = "hfdmd-walk-mark"


@dataclass
class Step:
    """A command, the exit code it is to have, and lines that are to appear in what it says."""

    command: str
    exit_code: int = 0
    expected: list[str] = field(default_factory=list)


def section(page: str, heading: str) -> str:
    """What stands below `heading` until the next of its rank. Raises `KeyError` when there is no such heading."""
    rank = heading.split(" ")[0]
    found = re.search(rf"^{re.escape(heading)}$(.*?)(?=^{rank} |\Z)", page, re.MULTILINE | re.DOTALL)
    if found is None:
        raise KeyError(f"the page has no heading {heading!r}")
    return found[1]


def blocks(page: str, language: str) -> list[str]:
    return [body for kind, body in _FENCE.findall(page) if kind == language]


def steps(block: str) -> list[Step]:
    """The commands of a console block; a line that begins with `$ ` is one, `> ` carries it on, the rest is output."""
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            code = _EXIT.search(line)
            found.append(Step(line[2:], int(code[1]) if code else 0))
        elif line.startswith("> ") and found and not found[-1].expected:
            found[-1].command += "\n" + line[2:]
        elif line.strip() and found:
            found[-1].expected.append(line)
    return found


def serve_what_is_named(hub: HubServer, page: str) -> None:
    """Gives the Hub each repo that the page names, with files that tours speak of."""
    named = set()
    for step in (step for block in blocks(page, "console") for step in steps(block)):
        named |= {(kind, repo) for kind, repo in _REPO.findall(step.command) if "hfdm" in step.command}
    for block in blocks(page, "python"):
        named |= {("", repo) for repo in re.findall(r'"([A-Za-z][\w.-]*/[A-Za-z][\w.-]*)"', block)}
    for kind, repo in sorted(named):
        files = {
            "README.md": b"# a model",
            "config.json": b'{"model_type": "test"}',
            "tokenizer.json": b'{"version": "1.0"}',
            "tokenizer_config.json": b"{}",
            "model.safetensors": seeded(3_000_000, seed=1),
            "onnx/model.onnx": seeded(400_000, seed=2),
        }
        if repo.lower().endswith("gguf"):
            stem = repo.rpartition("/")[2].removesuffix("-GGUF")
            files |= {
                f"{stem}-{q}.gguf": seeded(size, seed=size) for q, size in (("Q4_K_M", 600_000), ("Q8_0", 900_000))
            }
        hub.add_repo(repo, files, repo_type=(kind or "models/").removesuffix("s/"))


class Shell:
    """One bash, so that a `cd` or a variable holds for what follows."""

    def __init__(self, env: dict[str, str], cwd: str) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            env=env,
            cwd=cwd,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.terminate()
        self._process.communicate()

    def run(self, step: Step) -> None:
        """Raises `AssertionError`, with all that was said, when code or output are not as the page shows them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{ {step.command}\n}} </dev/null\nprintf '\\n%s %s\\n' {_MARK} $?\n")
        self._process.stdin.flush()
        said: list[str] = []
        for line in self._process.stdout:
            if line.startswith(f"{_MARK} "):
                assert int(line.split()[1]) == step.exit_code, f"$ {step.command}\n{''.join(said)}"
                break
            said.append(line)
        _compare(step, said)


def _compare(step: Step, said: list[str]) -> None:
    """Each expected line occurs, in order. `…` stands for anything."""
    rest = iter(said)
    for wanted in step.expected:
        pattern = re.compile(
            r"\s*" + r".*".join(re.sub(r"(\\ )+", r"\\s+", re.escape(part)) for part in wanted.strip().split("…"))
        )
        assert any(pattern.match(line) for line in rest), f"$ {step.command}\n{''.join(said)}\nhas no line {wanted!r}"


def run_python(block: str, env: dict[str, str], cwd: str) -> None:
    """Raises `AssertionError` when the program fails."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block], env=env, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
