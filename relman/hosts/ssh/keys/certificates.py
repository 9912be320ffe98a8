"""Verify OpenSSH host certificates.

Specification: OpenSSH PROTOCOL.certkeys (https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.certkeys).
"""

from __future__ import annotations

import base64
import time

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificate, SSHCertificateType

from relman.hosts.ssh.keys.public_keys import kind_of, signed_by

# The default CASignatureAlgorithms (ssh_config(5)), except those of security keys.
_ALGORITHMS = ("ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256", *(f"ecdsa-sha2-nistp{size}" for size in (256, 384, 521)))
_FOREVER = (1 << 64) - 1


class BadCertificate(Exception):
    """A certificate is invalid; the text says why."""


class HostCertificate:
    """A certificate as shown by a server. Raises BadCertificate if it cannot be parsed."""

    def __init__(self, blob: bytes) -> None:
        line = f"{kind_of(blob)} {base64.b64encode(blob).decode()}"
        try:
            certificate = forms.load_ssh_public_identity(line.encode())
            authority = certificate.signature_key() if isinstance(certificate, SSHCertificate) else None
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BadCertificate(f"it cannot be read ({error})") from error
        if not isinstance(certificate, SSHCertificate) or not authority:
            raise BadCertificate("it is not a certificate")
        self._certificate = certificate
        self._algorithm = signed_by(blob)
        written = authority.public_bytes(forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH)
        self.authority = base64.b64decode(written.split()[1])

    def check(self, name: str) -> None:
        """Verify its signature, type, principals and validity for the host `name`, now. Raises BadCertificate."""
        certificate = self._certificate
        if self._algorithm not in _ALGORITHMS:
            raise BadCertificate(f"its signature is one of {self._algorithm}, which is not accepted")
        try:
            certificate.verify_cert_signature()
        except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
            raise BadCertificate("its signature is wrong") from error
        if certificate.type is not SSHCertificateType.HOST:
            raise BadCertificate("it is for users, not for hosts")
        if certificate.critical_options:
            raise BadCertificate("it has critical options, and there are none for hosts")
        names = [principal.decode(errors="replace") for principal in certificate.valid_principals]
        if names and name not in names:
            raise BadCertificate(f"it is for {', '.join(names)}")
        if not certificate.valid_after <= time.time():
            raise BadCertificate(f"it is not valid before {_shown(certificate.valid_after)}")
        if certificate.valid_before != _FOREVER and time.time() >= certificate.valid_before:
            raise BadCertificate(f"it expired at {_shown(certificate.valid_before)}")


def _shown(seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"
