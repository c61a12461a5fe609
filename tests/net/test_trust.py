"""Which certificates are believed."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.net import trust as trust_module
from hfdmd.net.trust import ssl_context
from hfdmd.wire.types import Reason
from tests.fakehub.tls import Authority, make_authority
from tests.scarcity import no_descriptors


def test_the_system_store_by_default_and_one_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    context = ssl_context()
    assert context is ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_file_of_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path_factory.mktemp("certs") / "none.pem"))
    with pytest.raises(Failure, match="No such file") as caught:
        ssl_context()
    assert caught.value.reason is Reason.TLS


def test_no_descriptor_for_the_certificates_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("certs") / "some.pem"
    file.write_text("not read")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with no_descriptors(), pytest.raises(Failure) as caught:
        ssl_context()
    assert caught.value.reason is Reason.LOCKED


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """A TLS handshake in memory; raises what either side raises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert sides[0].version()


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    made = make_authority(("localhost",))
    yield made
    made.remove()


def folder_of(authority: Authority, folder: Path) -> Path:
    """A folder with the certificate under the name that OpenSSL looks for."""
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(authority.ca_path)]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(authority.ca_path, folder / f"{name}.0")
    return folder


@pytest.mark.parametrize("kind", ["file", "folder", "neither"])
def test_the_certificates_that_the_variables_name_are_trusted(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("certs")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    if kind == "file":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_path))
    elif kind == "folder":
        monkeypatch.setenv("SSL_CERT_DIR", str(folder_of(authority, folder)))
    if kind != "neither":
        monkeypatch.setattr(trust_module.truststore, "SSLContext", None)  # the system's are not trusted beside them
    context = ssl_context()
    if kind == "neither":
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(context, authority.server)
    else:
        handshake(context, authority.server)


def test_tls_1_2_is_the_least_whatever_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    permissive = ssl.create_default_context()
    permissive.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: permissive)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("certs")))
    assert ssl_context().minimum_version is ssl.TLSVersion.TLSv1_2
