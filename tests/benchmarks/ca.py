"""An authority of our own and its certificate for the benchmark's servers, made by openssl at run time."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Authority:
    """`bundle` is what clients trust; `certificate` and `key` are the server's."""

    bundle: Path
    certificate: Path
    key: Path


def make(folder: Path, addresses: tuple[str, ...] = ("127.0.0.1",)) -> Authority:
    """An EC authority and a server certificate for these IP addresses, good for two days."""
    folder.mkdir(parents=True)
    (folder / "ext").write_text(
        f"basicConstraints=CA:FALSE\nsubjectAltName={','.join(f'IP:{address}' for address in addresses)}\n"
    )
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl(
        folder,
        *("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=hfdmd benchmark CA"),
        *("-addext", "keyUsage=critical,keyCertSign"),
    )
    _openssl(folder, "req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=hfdmd benchmark")
    _openssl(
        folder,
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-out", "server.pem", "-days", "2", "-extfile", "ext"),
    )
    return Authority(folder / "ca.pem", folder / "server.pem", folder / "server.key")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
