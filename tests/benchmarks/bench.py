"""What every measurement gets: folders, shared content, number of rounds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import ca, content
from tests.benchmarks.ca import Authority
from tests.benchmarks.content import Made
from tests.benchmarks.line import SERVER_HOST
from tests.daemon_process import Daemon

GIB = 1 << 30
MIB = 1 << 20


@dataclass(slots=True)
class Bench:
    """`work` is on a real disk, `ram` in memory where there is enough of it."""

    work: Path
    ram: Path
    rounds: int
    quick: bool
    sparse_gib: int
    _made: dict[int, Made] = field(default_factory=dict)
    _authority: Authority | None = None
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def times(self, least: int = 1, of: float = 1.0) -> int:
        """A share of the rounds, for measurements that take long."""
        return max(least, round(self.rounds * of)) if not self.quick else least

    def folder(self, name: str) -> Path:
        """A path that does not exist yet, short enough for sockets."""
        return self.work / f"{name}{next(self._numbers)}"

    def site_folder(self, name: str) -> Path:
        return self.ram / f"{name}{next(self._numbers)}"

    def daemon(
        self, endpoint: str, *, bundle: Path | None = None, inside: Sequence[str] = (), transport: str = "auto"
    ) -> Daemon:
        """A daemon with a new folder that trusts the certificates of `bundle`; `inside` as in `Task`."""
        more = {"SSL_CERT_FILE": str(bundle)} if bundle else {}
        more |= {"HFDMD_NO_SPAWN": "1", "TERM": "dumb", "HFDMD_TRANSPORT": transport}
        return Daemon(self.folder("d"), endpoint, wrapper=inside, **more)

    def big(self, size_bytes: int, at: Path) -> Made:
        """A file of that size at `at`; the content is made once and then hard-linked."""
        if size_bytes not in self._made:
            self._made[size_bytes] = content.big(self.ram / f"big-{size_bytes}", size_bytes)
        made = self._made[size_bytes]
        at.hardlink_to(made.path)
        return Made(at, made.size_bytes, made.sha256)

    @property
    def authority(self) -> Authority:
        if self._authority is None:
            self._authority = ca.make(self.ram / "ca", ("127.0.0.1", SERVER_HOST))
        return self._authority
