"""Which certificates are believed."""

from __future__ import annotations

import ssl

import pytest

from hfdmd.failure import Failure
from hfdmd.net.trust import ssl_context
from hfdmd.wire.types import Reason
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
