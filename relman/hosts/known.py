"""known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): every connection is held against it, jump hosts too."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey


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
    """The keys of some files. @revoked keys are refused, @cert-authority lines trust nothing here."""

    def __init__(self, files: Sequence[str]) -> None:
        self.first_file = files[0] if files else "~/.ssh/known_hosts"
        self._entries: list[HostKeyEntry] = []
        revoked: set[str] = set()
        for file in files:
            path = Path(file).expanduser()
            if path.is_file():
                self._read(path, revoked)
        self._entries = [e for e in self._entries if e.key and e.key.get_base64() not in revoked]

    def _read(self, path: Path, revoked: set[str]) -> None:
        for line in path.read_text(errors="replace").splitlines():
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0].startswith("@"):
                revoked.update(words[3:4] if words[0] == "@revoked" else ())
                continue
            try:
                entry = HostKeyEntry.from_line(line)
            except InvalidHostKey:
                continue
            if entry:
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
