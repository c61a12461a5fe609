"""The test Hub's own certificate authority, made with the openssl command."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """The CA's certificate (for SSL_CERT_FILE) and a server context with a certificate signed by it."""

    folder: Path
    ca_path: Path
    server: ssl.SSLContext

    def remove(self) -> None:
        """Deletes the files."""
        shutil.rmtree(self.folder)


def make_authority(hosts: tuple[str, ...] = ("127.0.0.1", "localhost")) -> Authority:
    """A new CA and a certificate of it for `hosts`. Raises CalledProcessError or FileNotFoundError without openssl."""
    folder = Path(tempfile.mkdtemp(prefix="hub-ca-"))
    names = ",".join(f"IP:{host}" if host.replace(".", "").isdigit() else f"DNS:{host}" for host in hosts)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    ca = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test Hub CA", "-addext", "keyUsage=critical,keyCertSign"]
    _openssl(folder, "req", "-x509", *key, *ca)
    _openssl(folder, "req", *key[:-2], "-keyout", "hub.key", "-out", "hub.csr", "-subj", "/CN=Test Hub")
    (folder / "hub.ext").write_text(
        f"subjectAltName={names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
        "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "hub.ext", "-days", "2"]
    _openssl(folder, "x509", "-req", "-in", "hub.csr", "-out", "hub.pem", *signed)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "hub.pem", folder / "hub.key")
    return Authority(folder, folder / "ca.pem", context)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
