"""Certificates for tests, with their keys, in PEM."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@cache
def key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """A private key."""
    return ec.derive_private_key(number + 2, ec.SECP256R1())


def key_pem(number: int = 0, password: bytes | None = None) -> bytes:
    """A private key in PEM."""
    sealed = form.BestAvailableEncryption(password) if password else form.NoEncryption()
    return key(number).private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, sealed)


def certificate(*hosts: str, serial: int = 1, since: datetime = NOW - DAY, until: datetime = NOW + 90 * DAY) -> bytes:
    """A certificate of the first key, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key().public_key())
    made = made.serial_number(serial).not_valid_before(since).not_valid_after(until)
    if hosts:
        made = made.add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, hosts)]), critical=False)
    return made.sign(key(), hashes.SHA256()).public_bytes(form.Encoding.PEM)


def pem(*hosts: str, serial: int = 1) -> bytes:
    """A certificate with its key."""
    return certificate(*hosts, serial=serial) + key_pem()
