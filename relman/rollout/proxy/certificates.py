"""Certificates of the proxy: PEM texts with a certificate, its chain and its private key (RFC 7468). No error holds a
part of one. Pure."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import TYPE_CHECKING

from relman.model.formats.clock import rfc3339
from relman.model.proxy import Certificate

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_KEY = re.compile(rb"-----BEGIN (?P<kind>[A-Z ]*PRIVATE KEY)-----.+?-----END (?P=kind)-----", re.DOTALL)


def read_certificate(name: str, pem: bytes, now: datetime) -> Certificate:
    """What a certificate says of itself. Raises ValueError where it is none, has no key or another one's, or does not
    count now."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        own, *rest = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError("it holds no certificate in PEM") from None
    if key_in(pem).public_key() != own.public_key():
        raise ValueError("its private key is another certificate's")
    since, until = own.not_valid_before_utc, own.not_valid_after_utc
    if until < now:
        raise ValueError(f"it expired at {rfc3339(until)}")
    if since > now:
        raise ValueError(f"it counts only from {rfc3339(since)} on")
    whole = b"".join(each.public_bytes(Encoding.DER) for each in (own, *rest))
    return Certificate(name, hashlib.sha256(whole).hexdigest(), _hosts(own), rfc3339(since), rfc3339(until))


def key_in(pem: bytes) -> PrivateKeyTypes:
    """The private key in a text. Raises ValueError unless it holds one that can be read."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    found = list(_KEY.finditer(pem))
    if len(found) != 1:
        raise ValueError(f"it holds {len(found)} private keys" if found else "it holds no private key")
    try:
        return load_pem_private_key(found[0][0], password=None)
    except TypeError:
        raise ValueError("its private key is protected by a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("its private key cannot be read") from None


def _hosts(own: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        said = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(said.get_values_for_type(x509.DNSName))
