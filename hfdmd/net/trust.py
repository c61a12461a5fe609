"""Which certificates are trusted: the same as in huggingface_hub. What a rejected certificate means for a download."""

from __future__ import annotations

import os
import ssl
from datetime import datetime
from functools import lru_cache

import truststore

from hfdmd.durable import disk_reason
from hfdmd.failure import Failure
from hfdmd.wire.types import Reason

_OUT_OF_TIME = frozenset({9, 10, -67818, -67819})
"""Not yet valid, or expired: X509_V_ERR_CERT_* of OpenSSL's x509_vfy.h, errSecCertificate* of macOS's SecBase.h."""


def ssl_context() -> ssl.SSLContext:
    """The context for every TLS connection: `SSL_CERT_FILE`, else `SSL_CERT_DIR`, else the system's trust store.

    Cached until the two variables change. Raises `Failure` (tls) when they name no usable certificates.
    """
    try:
        return _context(os.environ.get("SSL_CERT_FILE") or None, os.environ.get("SSL_CERT_DIR") or None)
    except OSError as error:
        if disk_reason(error) is Reason.LOCKED:
            raise Failure(Reason.LOCKED, f"The trusted certificates cannot be read now: {error.strerror}.") from None
        why = error.strerror or type(error).__name__
        raise Failure(Reason.TLS, f"SSL_CERT_FILE or SSL_CERT_DIR has no usable certificates: {why}.") from None


def certificate_failure(host: str, error: ssl.SSLCertVerificationError) -> Failure:
    """The failure of a connection to `host` whose certificate was rejected.

    A certificate that is outside its period is waited for: a clock without a battery, or one that slept, is wrong until
    it is set, and a server renews its certificate. Everything else is final.
    """
    why = error.verify_message or "verification failed"
    if error.verify_code not in _OUT_OF_TIME:
        return Failure(Reason.TLS, f"The certificate of {host} is not trusted: {why}.")
    now = datetime.now().astimezone()
    return Failure(
        Reason.NETWORK,
        f"The certificate of {host} is not valid at the time of this machine's clock, {now:%Y-%m-%d %H:%M %Z} ({why})."
        " Set the clock if it is wrong; the download goes on by itself.",
    )


@lru_cache(maxsize=4)
def _context(cafile: str | None, capath: str | None) -> ssl.SSLContext:
    context: ssl.SSLContext
    if cafile:
        context = ssl.create_default_context(cafile=cafile)
    elif capath:
        context = ssl.create_default_context(capath=capath)
    else:
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
