"""Private key files: the public half, and signing."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from paramiko import Message

from relman.hosts.ssh.keys.public_keys import CERTIFICATE, kind_of, read_public

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_HASHES = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
_MAGIC = b"openssh-key-v1\0"


@dataclass(frozen=True)
class KeyFault:
    """Why a file cannot sign, and what to do."""

    what: str
    hint: str


@dataclass(frozen=True)
class KeyFile:
    """The content of a key file. `public` is the public half in wire encoding, also of an encrypted key; without `key`
    it cannot sign, and `fault` says why."""

    path: str
    public: bytes | None = None
    key: _Key | None = None
    fault: KeyFault | None = None

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """The signature in wire encoding (RFC 4253, section 6.6; RFC 5656, section 3.1.2; RFC 8332, section 3)."""
        algorithm = algorithm.removesuffix(CERTIFICATE)
        message = Message()
        message.add_string(algorithm)
        match self.key:
            case ed25519.Ed25519PrivateKey() as key:
                message.add_string(key.sign(data))
            case rsa.RSAPrivateKey() as key:
                digest = hashes.SHA512() if algorithm.endswith("512") else hashes.SHA256()
                message.add_string(key.sign(data, padding.PKCS1v15(), digest))
            case ec.EllipticCurvePrivateKey() as key:
                pair = Message()
                for number in decode_dss_signature(key.sign(data, ec.ECDSA(_HASHES[key.key_size]))):
                    pair.add_mpint(number)
                message.add_string(pair.asbytes())
        return message.asbytes()


def read_key(path: str) -> KeyFile:
    """Read a key file; every problem becomes its `fault`."""
    public = _public_beside(path)
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        fault = KeyFault(f"there is no key file {path}", "check the inventory and ssh_config")
        return KeyFile(path, public, fault=fault)
    except OSError as error:
        fault = KeyFault(f"the key file {path} cannot be read: {error.strerror}", f"check it: ls -l {path}")
        return KeyFile(path, public, fault=fault)
    try:
        key = _loaded(data)
    except TypeError:  # raised by cryptography for an encrypted key
        fault = KeyFault(f"the key {path} needs a passphrase", f"add it to the SSH agent: ssh-add {path}")
        return KeyFile(path, _public_within(data) or public, fault=fault)
    except (ValueError, UnsupportedAlgorithm):
        public = _public_within(data) or read_public(data.decode(errors="replace")) or public
        return KeyFile(path, public, fault=_junk(path, data))
    openssh = key.public_key().public_bytes(forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH)
    return KeyFile(path, read_public(openssh.decode()), key)


def read_certificate(path: str) -> bytes | None:
    """The certificate or public key in the file, or None."""
    try:
        return read_public(Path(path).read_text(errors="replace"))
    except OSError:
        return None


def _loaded(data: bytes) -> _Key:
    try:
        key = forms.load_ssh_private_key(data, None)
    except (ValueError, UnsupportedAlgorithm):
        key = forms.load_pem_private_key(data, None)  # type: ignore[assignment]
    if not isinstance(key, _Key):
        raise UnsupportedAlgorithm(type(key).__name__)
    return key


def _public_beside(path: str) -> bytes | None:
    own = "" if path.endswith(".pub") else ".pub"
    return read_certificate(f"{path}{own}")


def _public_within(data: bytes) -> bytes | None:
    """The public half in OpenSSH's format, which is not encrypted.

    Specification: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key
    """
    body = b"".join(line for line in data.splitlines() if not line.startswith(b"-----"))
    try:
        content = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not content.startswith(_MAGIC):
        return None
    message = Message(content[len(_MAGIC) :])
    for _ in range(3):  # ciphername, kdfname, kdfoptions
        message.get_string()
    message.get_int()
    return message.get_string()


def _junk(path: str, data: bytes) -> KeyFault:
    if data.startswith(b"PuTTY-"):
        return KeyFault(f"{path} is a key of PuTTY", f"convert it: puttygen {path} -O private-openssh -o NEW_FILE")
    if read_public(data.decode(errors="replace")):
        return KeyFault(f"no agent holds the key of {path}", "add it to the SSH agent: ssh-add KEY_FILE")
    if kind_of(_public_within(data) or b"").startswith("sk-"):
        return KeyFault(f"the key {path} cannot be used from its file", f"add it to the SSH agent: ssh-add {path}")
    return KeyFault(f"{path} is not a private key", f"check it: ssh-keygen -y -f {path}")
