"""The CA certificates that a connection trusts: those in one file, or the system's."""

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
"""Files with the system's CA certificates: of Debian, Red Hat (new and old), SUSE, Alpine."""


def context_for(ca: str | None) -> ssl.SSLContext:
    """Return a context that trusts only the certificates in the file `ca`, or the system's if it is None.

    The system's are read once in a process. Raises UsageError if the file is not one of certificates.
    """
    return _of_file(ca) if ca else _of_system()


class TrustingAdapter(requests.adapters.HTTPAdapter):
    """An adapter whose connections share one context: reading the CAs for each costs more than its requests."""

    def __init__(self, context: ssl.SSLContext | None, **options: Any) -> None:
        self._context = context
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Use the shared context in direct connections."""
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        """Use the shared context in connections through a proxy."""
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Do nothing: the context decides; requests would add the public CAs to it for each connection."""


def _of_file(ca: str) -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    try:
        context.load_verify_locations(cafile=ca)
    except OSError as error:
        raise UsageError(f"the CA file {ca} cannot be used", hint=str(error)) from error
    return context


@cache
def _of_system() -> ssl.SSLContext:
    """The system's CAs: from the paths that OpenSSL was built or configured with (SSL_CERT_FILE, SSL_CERT_DIR). A
    Python that was built for another system may find nothing there; then the first existing file of BUNDLES is used."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    paths = ssl.get_default_verify_paths()
    configured = paths.openssl_cafile_env in os.environ or paths.openssl_capath_env in os.environ
    if configured or paths.cafile or _has_certificates(paths.capath):
        context.set_default_verify_paths()
    elif found := next(filter(os.path.isfile, BUNDLES), None):
        context.load_verify_locations(cafile=found)
    return context


def _has_certificates(directory: str | None) -> bool:
    return directory is not None and any(Path(directory).glob("*.[0-9]"))
