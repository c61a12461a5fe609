"""Which certificates are trusted: the same as in huggingface_hub."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

import truststore


def ssl_context() -> ssl.SSLContext:
    """The context for every TLS connection: `SSL_CERT_FILE`, else `SSL_CERT_DIR`, else the system's trust store.

    Cached until the two variables change. OSError or ssl.SSLError when they name no usable certificates.
    """
    return _context(os.environ.get("SSL_CERT_FILE") or None, os.environ.get("SSL_CERT_DIR") or None)


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
