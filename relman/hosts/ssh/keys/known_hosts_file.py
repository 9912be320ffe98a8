"""Parse known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT,
https://man.openbsd.org/sshd#SSH_KNOWN_HOSTS_FILE_FORMAT)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relman.model.errors import UsageError
from relman.model.formats.patterns import listed

_REVOKED = "@revoked"
_AUTHORITY = "@cert-authority"
_LENGTH = 4  # bytes of a string's length (RFC 4251, section 5)


@dataclass(frozen=True)
class KnownHost:
    """One line: the host names as written, the key's type and its wire encoding."""

    names: str
    kind: str
    key: bytes
    marker: str = ""

    @property
    def revoked(self) -> bool:
        """Whether the key must never be accepted."""
        return self.marker == _REVOKED

    @property
    def plain(self) -> bool:
        """Whether the key itself is trusted, and not what it signs."""
        return not self.marker

    @property
    def authority(self) -> bool:
        """Whether certificates signed by the key are trusted."""
        return self.marker == _AUTHORITY

    def holds_for(self, name: str) -> bool:
        """Whether the line matches `name` (in lower case; `[host]:port` for a port other than 22)."""
        if self.names.startswith("|"):
            return _hashed(self.names, name)
        return listed(name, self.names.lower().split(","))


def read_entries(path: Path) -> Iterator[KnownHost]:
    """The entries of a file; malformed lines are skipped. Raises UsageError if the file cannot be read."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        hint = "it lists the host keys to trust"
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    for line in text.split("\n"):
        if entry := _entry(line.split()):
            yield entry


def _entry(words: list[str]) -> KnownHost | None:
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
    return KnownHost(names, kind, key, marker) if _whole(key, kind) else None


def _whole(key: bytes, kind: str) -> bool:
    """Whether the bytes are a sequence of strings, the first of them the type."""
    at, parts = 0, []
    while at < len(key):
        start = at + _LENGTH
        at = start + int.from_bytes(key[at:start], "big")
        parts.append(key[start:at])
    return at == len(key) and len(parts) > 1 and parts[0] == kind.encode()


def _hashed(names: str, name: str) -> bool:
    """Whether a hashed name (`|1|salt|hash`, HMAC-SHA1 with the salt as key, in base64) matches."""
    try:
        _, version, salt, digest = names.split("|")
        expected = base64.b64decode(digest, validate=True)
        found = hmac.new(base64.b64decode(salt, validate=True), name.encode(), hashlib.sha1).digest()
    except (binascii.Error, ValueError):
        return False
    return version == "1" and hmac.compare_digest(found, expected)
