"""Files in age's format (age-encryption.org/v1), opened with a key file: an age identity file, or an SSH key."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RECIPIENTS = "recipients.txt"
"""Beside age files: for whom they are encrypted, an age or SSH public key a line, as `age -R` reads them."""
KEY_FILE = "RELMAN_AGE_KEY_FILE"
_LARGEST = 4 << 20
_LARGEST_KEY = 1 << 16


def decrypt(file: Path, key_file: str) -> bytes:
    """What an age file holds. Raises ValueError, without any of it."""
    import pyrage

    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST)
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None
    identities = _identities(key_file)
    try:
        return bytes(pyrage.decrypt(data, [identity for identity, _ in identities]))
    except pyrage.DecryptError as error:
        raise ValueError(f"{file} cannot be decrypted with the key in {key_file}: {error}") from None


def encrypt(file: Path, value: bytes, key_file: str) -> tuple[str, ...]:
    """Write a value into an age file, whole or not at all, and say for whom: those of the file recipients.txt beside
    it, else the key's own holder. Raises ValueError."""
    import pyrage

    listed = file.parent / RECIPIENTS
    recipients = _listed(listed) if listed.is_file() else _own(key_file)
    try:
        data = pyrage.encrypt(value, [made for made, _ in recipients], armored=True)
    except pyrage.EncryptError as error:
        raise ValueError(f"cannot encrypt for {listed}: {error}") from None
    _replace(file, bytes(data))
    return tuple(name for _, name in recipients)


def _replace(file: Path, data: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            Path(beside).chmod(0o644)  # it is encrypted, and its place is in a repository
            Path(beside).replace(file)
        except OSError:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ValueError(f"cannot write {file}: {error.strerror}") from None


def _identities(key_file: str) -> list[tuple[Any, str]]:
    """The keys of a key file, each with the public half as text, "" where the file does not say it."""
    import pyrage

    if not key_file:
        raise ValueError(f"it is encrypted with age, and no key is given: set {KEY_FILE}")
    path = Path(key_file).expanduser()
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_KEY)
    except OSError as error:
        raise ValueError(f"cannot read the age key file {key_file}: {error.strerror}") from None
    try:
        if b"PRIVATE KEY-----" in data:
            return [(pyrage.ssh.Identity.from_buffer(data), _beside(path))]
        keys = [pyrage.x25519.Identity.from_str(line) for line in _lines(data.decode(errors="replace"))]
    except pyrage.IdentityError:
        keys = []
    if not keys:
        raise ValueError(f"{key_file} is no age key file: expected AGE-SECRET-KEY-1… or an SSH private key in it")
    return [(key, str(key.to_public())) for key in keys]


def _own(key_file: str) -> list[tuple[Any, str]]:
    public = [name for _, name in _identities(key_file) if name]
    if not public:
        raise ValueError(f"there is no public key {key_file}.pub; list the readers in {RECIPIENTS} instead")
    return _recipients(public, f"{key_file}.pub")


def _beside(key_file: Path) -> str:
    public = key_file.with_name(key_file.name + ".pub")
    return public.read_text().strip() if public.is_file() else ""


def _listed(file: Path) -> list[tuple[Any, str]]:
    return _recipients(_lines(file.read_text()), str(file))


def _recipients(lines: Iterable[str], origin: str) -> list[tuple[Any, str]]:
    import pyrage

    found = []
    for line in lines:
        kind = pyrage.ssh.Recipient if line.startswith("ssh-") else pyrage.x25519.Recipient
        try:
            found.append((kind.from_str(line), line))
        except pyrage.RecipientError:
            raise ValueError(f"{origin}: {line[:40]} is no public key of age or SSH") from None
    if not found:
        raise ValueError(f"{origin} names nobody")
    return found


def _lines(text: str) -> list[str]:
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]
