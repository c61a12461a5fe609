"""hfdmd.logs against a socket that listens as journald does."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfdmd.logs import JournalHandler, encode_field, field_name, journal_handler
from tests.service.conftest import REPO


@pytest.fixture
def journald(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(folder / "journal"))
        listening.settimeout(10)
        yield listening


@pytest.fixture
def log(folder: Path) -> Iterator[logging.Logger]:
    logger = logging.getLogger("hfdmd.test-journal")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    handler = JournalHandler(folder / "journal")
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def test_fields_and_priority(log: logging.Logger, journald: socket.socket) -> None:
    fields = {"event": "done", "repo": "owner/name", "localDir": "/a\nb", "id": None, "size bytes": 3}
    log.warning("%d files", 3, extra={"fields": fields})
    message = journald.recv(65536)
    for line in (
        b"MESSAGE=3 files\n",
        b"PRIORITY=4\n",
        b"SYSLOG_IDENTIFIER=hfdmd\n",
        b"LOGGER=hfdmd.test-journal\n",
        b"HFDMD_EVENT=done\n",
        b"HFDMD_REPO=owner/name\n",
        b"HFDMD_LOCAL_DIR\n\x04\0\0\0\0\0\0\0/a\nb\n",
        b"HFDMD_SIZE_BYTES=3\n",
    ):
        assert line in message
    assert b"HFDMD_ID" not in message


def test_traceback_is_in_the_message_and_a_field(log: logging.Logger, journald: socket.socket) -> None:
    try:
        raise LookupError("nothing there")
    except LookupError:
        log.exception("broken")
    message = journald.recv(65536)
    assert b"PRIORITY=3\n" in message
    assert b"EXCEPTION_TEXT\n" in message
    assert message.count(b"LookupError: nothing there") == 2


def test_too_large_for_a_datagram_goes_as_a_sealed_file(log: logging.Logger, journald: socket.socket) -> None:
    text = "x" * 1_000_000
    log.info(text)
    data, descriptors, _, _ = socket.recv_fds(journald, 10, 1)
    assert data == b""
    with open(descriptors[0], "rb") as file:
        file.seek(0)
        content = file.read()
    assert content.startswith(b"MESSAGE=" + text.encode() + b"\n")


def test_without_journald_the_message_is_on_stderr(log: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    log.error("one\ntwo")
    lines = capfd.readouterr().err.splitlines()
    assert lines[:2] == ["<3>one", "<3>two"]
    assert "not in the journal" in lines[2]


@pytest.mark.parametrize("stream", [None, "", "0:0", "1:2:3"])
def test_no_handler_unless_stderr_is_the_journal(stream: str | None) -> None:
    assert journal_handler({} if stream is None else {"JOURNAL_STREAM": stream}) is None


def test_handler_when_stderr_is_the_journal(python: str) -> None:
    code = (
        "import os; from hfdmd.logs import journal_handler; s = os.fstat(2);"
        "print(journal_handler({'JOURNAL_STREAM': f'{s.st_dev}:{s.st_ino}'}) is not None)"
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [python, "-c", code], env=env, capture_output=True, text=True, timeout=30, check=True, cwd="/"
    )
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize(
    ("key", "name"),
    [("repo", "HFDMD_REPO"), ("HFDMD_EVENT", "HFDMD_EVENT"), ("localDir", "HFDMD_LOCAL_DIR"), ("é b", "HFDMD___B")],
)
def test_field_names_are_those_that_journald_keeps(key: str, name: str) -> None:
    assert field_name(key) == name


def test_a_long_field_name_is_cut_to_what_journald_takes() -> None:
    assert len(field_name("x" * 100)) == 64


def test_what_is_no_utf8_is_sent_all_the_same() -> None:
    assert encode_field("A", "\udcff") == b"A=\\udcff\n"


def test_imports_only_the_standard_library() -> None:
    modules = "hfdmd.service_manager, hfdmd.logs"
    code = f"import sys, {modules}; print([n for n in ('msgspec', 'aiohttp') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True, cwd=REPO
    )
    assert done.stdout == "[]\n"
