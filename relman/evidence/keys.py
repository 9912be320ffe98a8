"""Signing keys, Ed25519 (RFC 8032) and ECDSA P-256, as PEM.

A public key is a SubjectPublicKeyInfo (RFC 7468, section 13: https://www.rfc-editor.org/rfc/rfc7468#section-13), a
private one is PKCS #8 (sections 10 and 11), encrypted where it is in a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from relman.model.errors import AccessDenied, UsageError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

ALGORITHMS = ("ed25519", "ecdsa-p256")
SHORTEST_UNLOCK = 8
_MAX_PEM = 1 << 16
_SCHEMES = {"ed25519": "ed25519", "ecdsa-sha2-nistp256": "ecdsa-p256"}


@dataclass(frozen=True)
class PublicKey:
    """A public key. `id` is the SHA-256 of its DER encoding (SubjectPublicKeyInfo), in hexadecimal."""

    pem: bytes

    @classmethod
    def load(cls, pem: bytes, origin: str) -> PublicKey:
        """Read a PEM public key; `origin` names its source in errors. Raises UsageError for any other content."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.signer import SSlibKey

        try:
            key = SSlibKey.from_crypto(load_pem_public_key(pem[:_MAX_PEM]))
        except (ValueError, UnsupportedAlgorithm):
            raise _no_key("public", origin) from None
        return cls._of(key, origin)

    @classmethod
    def _of(cls, key: SSlibKey, origin: str) -> PublicKey:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        if key.scheme not in _SCHEMES:
            raise _no_key("public", origin)
        crypto = key._crypto_key()  # the only way back to the PEM of an Ed25519 key
        return cls(crypto.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    @cached_property
    def _key(self) -> SSlibKey:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.signer import SSlibKey

        return SSlibKey.from_crypto(load_pem_public_key(self.pem), keyid="relman")

    @cached_property
    def der_digest(self) -> bytes:
        """The SHA-256 of the DER encoding."""
        import base64

        body = b"".join(line for line in self.pem.splitlines() if not line.startswith(b"-----"))
        return hashlib.sha256(base64.b64decode(body)).digest()

    @property
    def id(self) -> str:
        """The hexadecimal form of `der_digest`."""
        return self.der_digest.hex()

    @property
    def algorithm(self) -> str:
        """The algorithm, one of ALGORITHMS."""
        return _SCHEMES[self._key.scheme]

    def verifies(self, signature: bytes, content: bytes) -> bool:
        """Whether `signature` is this key's signature over `content`."""
        from securesystemslib.exceptions import UnverifiedSignatureError
        from securesystemslib.signer import Signature

        try:
            self._key.verify_signature(Signature(self._key.keyid, signature.hex()), content)
        except UnverifiedSignatureError:
            return False
        return True


class SigningKey:
    """A private key. Its repr contains no secret."""

    def __init__(self, signer: CryptoSigner, origin: str) -> None:
        self._signer = signer
        self.public = PublicKey._of(signer.public_key, origin)

    def __repr__(self) -> str:
        return f"SigningKey({self.public.id[:12]})"

    @classmethod
    def generate(cls, algorithm: str) -> SigningKey:
        """Return a new key for one of ALGORITHMS."""
        from securesystemslib.signer import CryptoSigner

        make = {"ed25519": CryptoSigner.generate_ed25519, "ecdsa-p256": CryptoSigner.generate_ecdsa}
        return cls(make[algorithm](), "a new key")

    @classmethod
    def load(cls, pem: bytes, origin: str, passphrase: Callable[[], str | None]) -> SigningKey:
        """Read a PEM private key; `passphrase` is called only if the key is encrypted.

        Raises UsageError if it is no such key, AccessDenied if the passphrase is wrong or missing.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from securesystemslib.signer import CryptoSigner

        secret = _encryption_of(pem, origin, passphrase)
        try:
            return cls(CryptoSigner(load_pem_private_key(pem[:_MAX_PEM], secret)), origin)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # `from None`: the cause may quote the key.
            if secret is None:
                raise _no_key("private", origin) from None
            raise AccessDenied(f"the passphrase does not open {origin}", hint=_UNLOCK) from None

    def encrypted(self, passphrase: str) -> bytes:
        """Return the key as encrypted PEM. Raises UsageError for a passphrase shorter than SHORTEST_UNLOCK."""
        from cryptography.hazmat.primitives.serialization import (
            BestAvailableEncryption,
            Encoding,
            PrivateFormat,
            load_pem_private_key,
        )

        if len(passphrase) < SHORTEST_UNLOCK:
            raise UsageError(f"a passphrase has at least {SHORTEST_UNLOCK} characters", hint=_UNLOCK)
        key = load_pem_private_key(self._signer.private_bytes, None)
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))

    def sign(self, content: bytes) -> bytes:
        """Return the signature over `content`."""
        return bytes.fromhex(self._signer.sign(content).signature)


_UNLOCK = "Set RELMAN_KEY_PASSPHRASE, or run it at a terminal."


def _encryption_of(pem: bytes, origin: str, passphrase: Callable[[], str | None]) -> bytes | None:
    """Return the passphrase of an encrypted key, None for a plain one. Raises AccessDenied if there is none."""
    if b"ENCRYPTED" not in pem:
        return None
    given = passphrase()
    if not given:
        raise AccessDenied(f"{origin} is encrypted, and there is no passphrase", hint=_UNLOCK)
    return given.encode()


def _no_key(kind: str, origin: str) -> UsageError:
    return UsageError(
        f"{origin} is not a {kind} key that relman can use",
        hint=f"It must be a PEM {kind} key, Ed25519 or ECDSA P-256, as `relman key new` makes it.",
    )
