"""Decrypt Ansible Vault (formats 1.1 and 1.2, AES256), with passwords from files that are read and never executed.

Documentation:
https://docs.ansible.com/ansible/latest/vault_guide/vault_using_encrypted_content.html#ansible-vault-payload-format-1-1-1-2
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path

from relman.model.errors import UsageError

HEADER = "$ANSIBLE_VAULT;"
TAG = "!vault"
_DEFAULT = "default"
_ITERATIONS = 10_000  # of PBKDF2, as ansible-core's VaultAES256 has it
_LARGEST = 1 << 10


class Vault:
    """Passwords by vault id. The password of a text's own id is tried first, then the others, as in Ansible."""

    def __init__(self, passwords: Mapping[str, bytes]) -> None:
        self._passwords = dict(passwords)

    def decrypt(self, text: str) -> str:
        """Decrypt a vaulted text. Raises ValueError with the reason, without secrets."""
        label = _label(text)
        own = [self._passwords[label]] if label in self._passwords else []
        tried = [*own, *(p for name, p in self._passwords.items() if name != label)]
        if not tried:
            raise ValueError(
                f"is in Ansible Vault (id {label}), and no password is given: "
                "set RELMAN_VAULT_PASSWORD_FILE, or use --vault-id LABEL@FILE"
            )
        for password in tried:
            plain = _decrypt(text, password)
            if plain is not None:
                return plain
        known = ", ".join(self._passwords)
        raise ValueError(f"is in Ansible Vault (id {label}), and no password given opens it (tried: {known})")


def open_vault(password_file: str, ids: Sequence[str]) -> Vault:
    """Read the passwords in these files: `password_file` ("" for none) and each `LABEL@FILE`. Raises UsageError."""
    passwords: dict[str, bytes] = {}
    for given in ids:
        label, at, file = given.rpartition("@")
        if not at or not file:
            raise UsageError(f"--vault-id {given!r} is not LABEL@FILE")
        passwords[label or _DEFAULT] = _password(file)
    if password_file:
        passwords.setdefault(_DEFAULT, _password(password_file))
    return Vault(passwords)


def _password(file: str) -> bytes:
    path = Path(file).expanduser()
    try:
        with path.open("rb") as source:
            data = source.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read the vault password file {file}: {error.strerror}", hint="it is read, never run"
        ) from error
    password = data.strip()
    if data.startswith(b"#!") or not password or len(data) > _LARGEST:
        raise UsageError(
            f"{file} is not a vault password file: expected one short line", hint="relman reads it, and runs no script"
        )
    return password


def _label(text: str) -> str:
    head = text.strip().split("\n", 1)[0].strip().split(";")
    if head[0] != HEADER[:-1] or len(head) < 3 or head[1] not in ("1.1", "1.2") or head[2] != "AES256":
        raise ValueError("is in Ansible Vault, in a format that relman does not know (it knows 1.1 and 1.2, AES256)")
    return head[3] if len(head) > 3 and head[3] else _DEFAULT


def _decrypt(text: str, password: bytes) -> str | None:
    """The plain text, or None if the password is wrong. Raises ValueError if the text is damaged."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, hmac, padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    body = "".join("".join(text.strip().split("\n")[1:]).split())
    try:
        salt, mac, data = (binascii.unhexlify(part) for part in binascii.unhexlify(body).split(b"\n", 2))
    except ValueError:
        raise ValueError("is in Ansible Vault, and its text is damaged") from None
    key = PBKDF2HMAC(hashes.SHA256(), 80, salt, _ITERATIONS).derive(password)
    check = hmac.HMAC(key[32:64], hashes.SHA256())
    check.update(data)
    try:
        check.verify(mac)
    except InvalidSignature:
        return None
    aes = Cipher(algorithms.AES(key[:32]), modes.CTR(key[64:])).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    try:
        return (unpadder.update(aes.update(data) + aes.finalize()) + unpadder.finalize()).decode()
    except ValueError:
        raise ValueError("is in Ansible Vault, and its content is not text") from None
