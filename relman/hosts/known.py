"""known_hosts: every connection is held against it as ssh(1) does, jump hosts too."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import paramiko

from relman.hosts.known_file import Entry, read_entries
from relman.model.host import Hop

_SSH = 22
_RSA = ("rsa-sha2-512", "rsa-sha2-256")  # algorithms of keys of the type ssh-rsa (RFC 8332)


class BadKey(Exception):
    """A server showed a key that is not to be trusted. `name` is what was looked up in known_hosts, `fingerprint` that
    of the key."""

    def __init__(self, name: str, fingerprint: str) -> None:
        super().__init__(name)
        self.name = name
        self.fingerprint = fingerprint


class UnknownKey(BadKey):
    """No known_hosts file has a key of the server."""


class ChangedKey(BadKey):
    """The files have keys of the server, and not this one. `known` are their fingerprints."""

    def __init__(self, name: str, fingerprint: str, known: Sequence[str]) -> None:
        super().__init__(name, fingerprint)
        self.known = known


class RevokedKey(BadKey):
    """A line marked @revoked has this key."""


class KnownHosts:
    """The keys of some files. A key that any line revokes is refused, whatever host the line names; @cert-authority
    lines trust nothing here, and a line that is no entry trusts nothing either. Raises UsageError for a file that
    cannot be read."""

    def __init__(self, files: Sequence[str]) -> None:
        self.first_file = files[0] if files else "~/.ssh/known_hosts"
        paths = [path for file in files if _is_file(path := Path(file).expanduser())]
        entries = [entry for path in paths for entry in read_entries(path)]
        self._revoked = {entry.key for entry in entries if entry.revoked}
        self._entries = [entry for entry in entries if entry.plain]

    def check(self, hop: Hop, kind: str, key: bytes) -> None:
        """Return where `key` is one of the hop's. Of another port than 22 the host's own name counts, too, unless
        there are keys of that port. Raises UnknownKey, ChangedKey or RevokedKey."""
        names = _names(hop)
        shown = _fingerprint(kind, key)
        if key in self._revoked:
            raise RevokedKey(names[0], shown)
        known = self._of(names[0])
        if any(entry.key == key for entry in known):
            return
        if known:
            raise ChangedKey(names[0], shown, [_fingerprint(entry.kind, entry.key) for entry in known])
        if not any(entry.key == key for name in names[1:] for entry in self._of(name)):
            raise UnknownKey(names[0], shown)

    def preferred(self, hop: Hop, algorithms: Sequence[str]) -> list[str]:
        """The algorithms, those first whose keys the files have of the hop: else a server that has keys of several
        types shows one that nobody knows."""
        known = next((found for name in _names(hop) if (found := self._of(name))), [])
        kinds = {entry.kind for entry in known if entry.key not in self._revoked}
        return sorted(algorithms, key=lambda name: ("ssh-rsa" if name in _RSA else name) not in kinds)

    def guard(self, client: paramiko.SSHClient, hop: Hop) -> Callable[..., paramiko.Transport]:
        """Make `client` accept the hop's keys and no others. Returns the `transport_factory` to connect it with."""

        def transport(*arguments: Any, **options: Any) -> paramiko.Transport:
            made = paramiko.Transport(*arguments, **options)
            security = made.get_security_options()
            security.key_types = self.preferred(hop, security.key_types)
            return made

        client.set_missing_host_key_policy(_Judge(self, hop))
        return transport

    def _of(self, name: str) -> list[Entry]:
        return [entry for entry in self._entries if entry.holds_for(name)]


class _Judge(paramiko.MissingHostKeyPolicy):
    """Asked about every key: paramiko itself is told of none, as it knows one of a type and name, and no patterns."""

    def __init__(self, known: KnownHosts, hop: Hop) -> None:
        self._known = known
        self._hop = hop

    def missing_host_key(self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey) -> None:
        self._known.check(self._hop, key.get_name(), key.asbytes())


def _names(hop: Hop) -> tuple[str, ...]:
    """What to look up, first what must not differ."""
    if hop.host_key_alias:
        return (hop.host_key_alias.lower(),)
    address = hop.address.lower()
    return (address,) if hop.port == _SSH else (f"[{address}]:{hop.port}", address)


def _fingerprint(kind: str, key: bytes) -> str:
    """As ssh-keygen -l prints it."""
    return f"{kind} SHA256:{base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip('=')}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True  # it is there, in a directory that may not be searched: reading it says so
