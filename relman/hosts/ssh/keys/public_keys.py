"""Public keys and certificates in wire encoding.

Specifications: RFC 4253, section 6.6 (https://www.rfc-editor.org/rfc/rfc4253#section-6.6), and OpenSSH
PROTOCOL.certkeys (https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.certkeys).
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from paramiko import Message

CERTIFICATE = "-cert-v01@openssh.com"
_FIELDS = {"ssh-rsa": 2, "ssh-ed25519": 1, "sk-ssh-ed25519": 2, "sk-ecdsa-sha2-nistp256": 3}
_OF_A_CURVE = 2


def kind_of(blob: bytes) -> str:
    """The type in the encoding."""
    return Message(blob).get_string().decode(errors="replace")


def is_certificate(blob: bytes) -> bool:
    """Whether it is a certificate."""
    return kind_of(blob).endswith(CERTIFICATE)


def plain(blob: bytes) -> bytes:
    """The key in a certificate; a key is returned unchanged."""
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
    """The algorithm of a certificate's signature; "" or garbage if it is malformed."""
    message = Message(certificate)
    _strings(message, 2 + _fields(certificate))  # type, nonce, key
    message.get_bytes(12)  # serial, type
    _strings(message, 2)  # key id, valid principals
    message.get_bytes(16)  # valid after, valid before
    _strings(message, 4)  # critical options, extensions, reserved, signature key
    return kind_of(message.get_string())


def read_public(text: str) -> bytes | None:
    """The key or certificate in a .pub file's text; None if there is none."""
    words = text.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError, IndexError):
        return None
    return blob if kind_of(blob) == words[0] else None


def fingerprint(blob: bytes) -> str:
    """The fingerprint as ssh-keygen -l prints it."""
    return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"


def _fields(certificate: bytes) -> int:
    """The number of strings that its key consists of."""
    return _FIELDS.get(kind_of(certificate).removesuffix(CERTIFICATE), _OF_A_CURVE)


def _strings(message: Message, number: int) -> list[bytes]:
    return [message.get_string() for _ in range(number)]
