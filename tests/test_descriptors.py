"""The daemon raises the limit of descriptors that the shell set."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource
from hfdmd import descriptors
descriptors.raise_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], descriptors.share(4))
"""


@pytest.mark.parametrize(
    ("limits", "soft"),
    [("ulimit -Sn 256; ulimit -Hn 900", 900), ("ulimit -n 300", 300), ("ulimit -Sn 256", None)],
    ids=["to the hard one", "nothing to raise", "never less"],
)
def test_the_soft_limit_is_raised(limits: str, soft: int | None) -> None:
    command = ["sh", "-c", f'{limits}; exec "$@"', "sh", sys.executable, "-c", CODE]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    raised, quarter = map(int, out.split())
    assert raised == soft if soft is not None else raised >= 256
    assert quarter == raised // 4
