"""Verify host keys against known_hosts as ssh(1) does, those of jump hosts too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import paramiko

from relman.hosts.ssh.keys.certificates import BadCertificate, HostCertificate
from relman.hosts.ssh.keys.known_hosts_file import KnownHost, read_entries
from relman.hosts.ssh.keys.public_keys import CERTIFICATE, fingerprint, is_certificate, kind_of, plain
from relman.hosts.ssh.transport import ClientTransport
from relman.model.host import Hop

_SSH = 22
_RSA = ("rsa-sha2-512", "rsa-sha2-256")  # algorithms of keys of the type ssh-rsa (RFC 8332)


class BadKey(Exception):
    """A server's key is not trusted. `name` is the name looked up in known_hosts, `fingerprint` that of the key."""

    def __init__(self, name: str, fingerprint: str) -> None:
        super().__init__(name)
        self.name = name
        self.fingerprint = fingerprint


class UnknownKey(BadKey):
    """No known_hosts file has a key of this host."""


class ChangedKey(BadKey):
    """The files have keys of this host, but not this one. `known` are their fingerprints."""

    def __init__(self, name: str, fingerprint: str, known: Sequence[str]) -> None:
        super().__init__(name, fingerprint)
        self.known = known


class RevokedKey(BadKey):
    """A line marked @revoked has this key."""


class UntrustedCertificate(BadKey):
    """A known authority signed the server's certificate, which is invalid; `reason` says why."""

    def __init__(self, name: str, fingerprint: str, reason: str) -> None:
        super().__init__(name, fingerprint)
        self.reason = reason


class KnownHosts:
    """The keys in some known_hosts files.

    A key that any line revokes is refused, whatever host the line names, and so is what it signed. Malformed lines are
    ignored. Raises UsageError if a file cannot be read.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self.first_file = files[0] if files else "~/.ssh/known_hosts"
        paths = [path for file in files if _is_file(path := Path(file).expanduser())]
        entries = [entry for path in paths for entry in read_entries(path)]
        self._revoked = {entry.key for entry in entries if entry.revoked}
        self._entries = [entry for entry in entries if entry.plain]
        self._authorities = [entry for entry in entries if entry.authority]

    def check(self, hop: Hop, kind: str, key: bytes) -> None:
        """Return if `key` is one of the hop's. For a port other than 22, the host's name without the port counts, too,
        unless there are keys for the port. Raises UnknownKey, ChangedKey or RevokedKey."""
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

    def check_certificate(self, hop: Hop, blob: bytes) -> None:
        """Return if an authority of the hop signed the certificate validly, or else if its plain key is known.

        Raises what `check` raises, or UntrustedCertificate.
        """
        names, key = _names(hop), plain(blob)
        shown = _fingerprint(kind_of(key), key)
        try:
            certificate = HostCertificate(blob)
            if certificate.authority in self._revoked:
                raise RevokedKey(names[0], _fingerprint(kind_of(certificate.authority), certificate.authority))
            if key not in self._revoked and self._is_authority(certificate.authority, names):
                certificate.check((hop.host_key_alias or hop.address).lower())
                return
        except BadCertificate as error:
            try:
                self.check(hop, kind_of(key), key)
            except (UnknownKey, ChangedKey):
                raise UntrustedCertificate(names[0], shown, str(error)) from error
        else:
            self.check(hop, kind_of(key), key)

    def preferred(self, hop: Hop, algorithms: Sequence[str]) -> list[str]:
        """The algorithms, first those for which the files have a key of the hop: otherwise a server with keys of
        several types may show an unknown one. Certificates come first if an authority may have signed one."""
        certificates = [f"{name}{CERTIFICATE}" for name in algorithms]
        keys = self._by_what_is_known(hop, algorithms)
        signed = any(entry.holds_for(name) for entry in self._authorities for name in _names(hop))
        return [*certificates, *keys] if signed else [*keys, *certificates]

    def _by_what_is_known(self, hop: Hop, algorithms: Sequence[str]) -> list[str]:
        known = next((found for name in _names(hop) if (found := self._of(name))), [])
        kinds = {entry.kind for entry in known if entry.key not in self._revoked}
        return sorted(algorithms, key=lambda name: ("ssh-rsa" if name in _RSA else name) not in kinds)

    def guard(self, client: paramiko.SSHClient, hop: Hop) -> Callable[..., paramiko.Transport]:
        """Make `client` accept only the hop's keys. Returns the `transport_factory` to connect it with."""

        def transport(*arguments: Any, **options: Any) -> paramiko.Transport:
            made = ClientTransport(*arguments, **options)
            made.host_key_algorithms = self.preferred(hop, made.get_security_options().key_types)
            return made

        client.set_missing_host_key_policy(_Judge(self, hop))
        return transport

    def _is_authority(self, key: bytes, names: Sequence[str]) -> bool:
        return any(entry.key == key and entry.holds_for(name) for entry in self._authorities for name in names)

    def _of(self, name: str) -> list[KnownHost]:
        return [entry for entry in self._entries if entry.holds_for(name)]


class _Judge(paramiko.MissingHostKeyPolicy):
    """Checks every key. paramiko's own table stays empty, because it holds one key for each type and name, and no
    patterns."""

    def __init__(self, known: KnownHosts, hop: Hop) -> None:
        self._known = known
        self._hop = hop

    def missing_host_key(self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey) -> None:
        shown = key.public_blob.key_blob if key.public_blob else key.asbytes()
        if is_certificate(shown):
            self._known.check_certificate(self._hop, shown)
        else:
            self._known.check(self._hop, key.get_name(), shown)


def _names(hop: Hop) -> tuple[str, ...]:
    """The names to look up; a key under the first one must match."""
    if hop.host_key_alias:
        return (hop.host_key_alias.lower(),)
    address = hop.address.lower()
    return (address,) if hop.port == _SSH else (f"[{address}]:{hop.port}", address)


def _fingerprint(kind: str, key: bytes) -> str:
    return f"{kind} {fingerprint(key)}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True  # it is in a directory without search permission; reading it will report that
