"""known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): every connection is held against it, jump hosts too."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry

from relman.model.errors import UsageError


class UnknownKey(Exception):
    """A server showed a key that no known_hosts file has."""

    def __init__(self, name: str, fingerprint: str) -> None:
        super().__init__(name)
        self.name = name
        self.fingerprint = fingerprint


class _Refuse(paramiko.MissingHostKeyPolicy):
    def missing_host_key(self, _client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise UnknownKey(hostname, KnownHosts.fingerprint(key))


class KnownHosts:
    """The keys of some files. @revoked keys are refused, @cert-authority lines trust nothing here, and a line that is
    no entry trusts nothing either. Raises UsageError for a file that cannot be read."""

    def __init__(self, files: Sequence[str]) -> None:
        self.first_file = files[0] if files else "~/.ssh/known_hosts"
        self._entries: list[HostKeyEntry] = []
        revoked: set[str] = set()
        for file in files:
            path = Path(file).expanduser()
            if _is_file(path):
                self._read(path, revoked)
        self._entries = [e for e in self._entries if e.key and e.key.get_base64() not in revoked]

    def _read(self, path: Path, revoked: set[str]) -> None:
        try:
            text = path.read_text(errors="replace")
        except OSError as error:
            hint = "it says which keys of hosts count"
            raise UsageError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
        for line in text.splitlines():
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0].startswith("@"):
                revoked.update(words[3:4] if words[0] == "@revoked" else ())
                continue
            if entry := _entry(line):
                self._entries.append(entry)

    def guard(self, client: paramiko.SSHClient) -> None:
        """Make `client` accept these keys and no others."""
        keys = client.get_host_keys()
        for entry in self._entries:
            for name in entry.hostnames or ():
                if entry.key:
                    keys.add(name, entry.key.get_name(), entry.key)
        client.set_missing_host_key_policy(_Refuse())

    @staticmethod
    def fingerprint(key: paramiko.PKey) -> str:
        """As ssh-keygen -l prints it."""
        digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
        return f"{key.get_name()} SHA256:{digest}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True  # it is there, in a directory that may not be searched: reading it says so


def _entry(line: str) -> HostKeyEntry | None:
    """paramiko and cryptography raise much on a key that is none, and not only what they document."""
    try:
        return HostKeyEntry.from_line(line)
    except Exception:
        return None
