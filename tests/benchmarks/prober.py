"""Sends requests to the busy daemon one after the other, and records each latency."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

from tests.daemon_process import UnixConnection

PAUSE_S = 0.004


class Prober:
    """`with Prober(socket, paths):` one kept connection a path; `times_s[path]` are the answers' times."""

    def __init__(self, socket: Path, paths: Sequence[str]) -> None:
        self.times_s: dict[str, list[float]] = {path: [] for path in paths}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(socket, path)) for path in paths]
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _ask(self, socket: Path, path: str) -> None:
        try:
            with closing(UnixConnection(socket)) as connection:
                while not self._stop.wait(PAUSE_S):
                    began = time.perf_counter()
                    connection.request("GET", path)
                    with connection.getresponse() as answer:
                        answer.read()
                    self.times_s[path].append(time.perf_counter() - began)
                    if answer.status != 200:
                        raise AssertionError(f"GET {path} answers {answer.status}")
        except Exception as failure:
            self._failure = failure
