"""The test Hub's own certificate authority, made with the openssl command."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_CA = """[ca]
default_ca = test
[test]
database = index.txt
new_certs_dir = .
private_key = ca.key
certificate = ca.pem
default_md = sha256
rand_serial = yes
unique_subject = no
policy = any
[any]
commonName = supplied
"""


@dataclass(frozen=True)
class Authority:
    """The CA's certificate (for SSL_CERT_FILE) and a server context with a certificate signed by it."""

    folder: Path
    ca_path: Path
    server: ssl.SSLContext

    def renew(self, valid_from_days: float, valid_to_days: float) -> None:
        """A certificate that is valid between these times from now, for the handshakes to come."""
        start, end = (
            (datetime.now(UTC) + timedelta(days=days)).strftime("%y%m%d%H%M%SZ")
            for days in (valid_from_days, valid_to_days)
        )
        period = ["-startdate", start, "-enddate", end]
        made = ["-in", "hub.csr", "-out", "hub.pem", "-extfile", "hub.ext", "-notext"]
        _openssl(self.folder, "ca", "-batch", "-config", "ca.conf", *period, *made)
        self.server.load_cert_chain(self.folder / "hub.pem", self.folder / "hub.key")

    def remove(self) -> None:
        """Deletes the files."""
        shutil.rmtree(self.folder)


def make_authority(hosts: tuple[str, ...] = ("127.0.0.1", "localhost")) -> Authority:
    """A new CA and a certificate of it for `hosts`. Raises CalledProcessError or FileNotFoundError without openssl."""
    folder = Path(tempfile.mkdtemp(prefix="hub-ca-"))
    names = ",".join(f"IP:{host}" if host.replace(".", "").isdigit() else f"DNS:{host}" for host in hosts)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    ca = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test Hub CA", "-addext", "keyUsage=critical,keyCertSign"]
    _openssl(folder, "req", "-x509", *key, "-days", "2", *ca)
    _openssl(folder, "req", *key, "-keyout", "hub.key", "-out", "hub.csr", "-subj", "/CN=Test Hub")
    (folder / "hub.ext").write_text(
        f"subjectAltName={names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
        "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    (folder / "ca.conf").write_text(_CA)
    (folder / "index.txt").touch()
    authority = Authority(folder, folder / "ca.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    authority.renew(-1 / 24, 2)
    return authority


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
