"""Asks a daemon COUNT times, each over a connection of its own; says how far it is and how many were lost."""

from __future__ import annotations

import socket
import sys

REQUEST = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
TIMEOUT_S = 30.0


def ask(path: str) -> bool:
    """True when it was answered with 200."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(path)
            connection.sendall(REQUEST)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError as error:
            print(f"lost: {error}", file=sys.stderr)
            return False
    answered = answer.startswith(b"HTTP/1.1 200 ")
    if not answered:
        print(f"not 200: {answer!r}", file=sys.stderr)
    return answered


def main(path: str, count: int) -> None:
    lost = 0
    for number in range(1, count + 1):
        lost += not ask(path)
        if number % 200 == 0:
            print(number, flush=True)
    print(f"lost {lost}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
