"""The lines of known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relman.model.errors import UsageError
from relman.model.patterns import listed

_REVOKED = "@revoked"
_AUTHORITY = "@cert-authority"
_LENGTH = 4  # bytes of a string's length (RFC 4251, 5)


@dataclass(frozen=True)
class Entry:
    """One line: whose key it is (names as written), the key's type and its bytes as they go over the wire."""

    names: str
    kind: str
    key: bytes
    marker: str = ""

    @property
    def revoked(self) -> bool:
        """Whether it says of the key that it must never be accepted."""
        return self.marker == _REVOKED

    @property
    def plain(self) -> bool:
        """Whether it trusts the key itself, and not what the key signs."""
        return not self.marker

    @property
    def authority(self) -> bool:
        """Whether it trusts what the key signs."""
        return self.marker == _AUTHORITY

    def holds_for(self, name: str) -> bool:
        """Whether the line is about `name` (in lower case; with a port of its own `[host]:port`)."""
        if self.names.startswith("|"):
            return _hashed(self.names, name)
        return listed(name, self.names.lower().split(","))


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a file; a line that is none says nothing. Raises UsageError if the file cannot be read."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        hint = "it lists the host keys to trust"
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    for line in text.split("\n"):
        if entry := _entry(line.split()):
            yield entry


def _entry(words: list[str]) -> Entry | None:
    if not words or words[0].startswith("#"):
        return None
    marker = words.pop(0) if words[0].startswith("@") else ""
    if len(words) < 3 or marker not in ("", _REVOKED, _AUTHORITY):
        return None
    names, kind, text = words[:3]
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Entry(names, kind, key, marker) if _whole(key, kind) else None


def _whole(key: bytes, kind: str) -> bool:
    """Whether the bytes are strings to their end, the first of them the type and another one behind it."""
    at, parts = 0, []
    while at < len(key):
        start = at + _LENGTH
        at = start + int.from_bytes(key[at:start], "big")
        parts.append(key[start:at])
    return at == len(key) and len(parts) > 1 and parts[0] == kind.encode()


def _hashed(names: str, name: str) -> bool:
    """`|1|salt|hash`: HMAC-SHA1 of the name by the salt, both in base64."""
    try:
        _, version, salt, digest = names.split("|")
        expected = base64.b64decode(digest, validate=True)
        found = hmac.new(base64.b64decode(salt, validate=True), name.encode(), hashlib.sha1).digest()
    except (binascii.Error, ValueError):
        return False
    return version == "1" and hmac.compare_digest(found, expected)
