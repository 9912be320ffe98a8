"""Public keys and certificates as they go over the wire (RFC 4253, 6.6; OpenSSH's PROTOCOL.certkeys)."""

from __future__ import annotations

import base64
import binascii
import hashlib

from paramiko import Message

CERTIFICATE = "-cert-v01@openssh.com"
_FIELDS = {"ssh-rsa": 2, "ssh-ed25519": 1, "sk-ssh-ed25519": 2, "sk-ecdsa-sha2-nistp256": 3}
_OF_A_CURVE = 2


def kind_of(blob: bytes) -> str:
    """The type that it names."""
    return Message(blob).get_string().decode(errors="replace")


def is_certificate(blob: bytes) -> bool:
    """Whether somebody vouches for the key in it."""
    return kind_of(blob).endswith(CERTIFICATE)


def plain(blob: bytes) -> bytes:
    """The key that a certificate is for; a key is itself."""
    if not is_certificate(blob):
        return blob
    message = Message(blob)
    name = kind_of(blob).removesuffix(CERTIFICATE)
    _strings(message, 2)  # type, nonce
    key = Message()
    key.add_string(f"{name}@openssh.com" if name.startswith("sk-") else name)
    for part in _strings(message, _fields(blob)):
        key.add_string(part)
    return key.asbytes()


def signed_by(certificate: bytes) -> str:
    """The algorithm of the signature at a certificate's end; without one nothing that makes sense."""
    message = Message(certificate)
    _strings(message, 2 + _fields(certificate))  # type, nonce, key
    message.get_bytes(12)  # serial, and for whom
    _strings(message, 2)  # name, principals
    message.get_bytes(16)  # validity
    _strings(message, 4)  # options, extensions, what is reserved, the authority's key
    return kind_of(message.get_string())


def read_public(text: str) -> bytes | None:
    """The key or certificate of a .pub file; None where it has none."""
    words = text.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError, IndexError):
        return None
    return blob if kind_of(blob) == words[0] else None


def fingerprint(blob: bytes) -> str:
    """As ssh-keygen -l prints it."""
    return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"


def _fields(certificate: bytes) -> int:
    """Of how many strings its key consists."""
    return _FIELDS.get(kind_of(certificate).removesuffix(CERTIFICATE), _OF_A_CURVE)


def _strings(message: Message, number: int) -> list[bytes]:
    return [message.get_string() for _ in range(number)]
