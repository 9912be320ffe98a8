"""Which certificate authorities vouch for a server: those of one file, or the system's."""

from __future__ import annotations

import os
import ssl
from functools import cache
from pathlib import Path
from typing import Any

import requests.adapters
from urllib3.util.ssl_ import create_urllib3_context

from relman.model.errors import UsageError

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep the system's CA certificates in one file: Debian, Red Hat (new and old), SUSE, Alpine."""


def context_for(ca: str | None) -> ssl.SSLContext:
    """A context that trusts the certificates in the file `ca` alone, or without one the system's, as they were when
    they were first asked for. Raises UsageError for a file that is none."""
    return _of_file(ca) if ca else _of_system()


class TrustingAdapter(requests.adapters.HTTPAdapter):
    """All connections share one context: reading the CA certificates anew for each costs more than its requests."""

    def __init__(self, context: ssl.SSLContext | None, **options: Any) -> None:
        self._context = context
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Have the context in every connection."""
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        """Have it also in those through a proxy."""
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Who is trusted is in the context; otherwise the public CAs would be added to it, for each connection."""


def _of_file(ca: str) -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    try:
        context.load_verify_locations(cafile=ca)
    except OSError as error:
        raise UsageError(f"the CA file {ca} cannot be used", hint=str(error)) from error
    return context


@cache
def _of_system() -> ssl.SSLContext:
    """What OpenSSL was built or told to look at (SSL_CERT_FILE, SSL_CERT_DIR). A Python that was built elsewhere looks
    where this system has nothing: then the usual places count."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    paths = ssl.get_default_verify_paths()
    told = paths.openssl_cafile_env in os.environ or paths.openssl_capath_env in os.environ
    if told or paths.cafile or _has_certificates(paths.capath):
        context.set_default_verify_paths()
    elif found := next(filter(os.path.isfile, BUNDLES), None):
        context.load_verify_locations(cafile=found)
    return context


def _has_certificates(directory: str | None) -> bool:
    return directory is not None and any(Path(directory).glob("*.[0-9]"))
