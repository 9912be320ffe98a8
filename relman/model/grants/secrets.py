"""Secrets that containers are given by reference, and what is remembered of their values: never a value itself."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SECRET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""The names that secrets may have: each becomes a file's."""
DIRECTORY = "/run/secrets"
"""Where a container finds a secret of which nothing else is said."""


@dataclass(frozen=True, order=True)
class SecretRef:
    """A secret, and how the container finds it: as the content of `file`, an absolute path, or in the variable `env`.
    One of the two is given."""

    name: str
    file: str = ""
    env: str = ""


@dataclass(frozen=True)
class SecretSet:
    """The values that a host keeps for an entry of its record. They lie in `directory`, named after the deployment that
    wrote it; `hashes` are HMAC-SHA256 of each value by its name, keyed with `salt`, both in hexadecimal. All sets of a
    host have one salt, so that they can be compared."""

    directory: str
    salt: str
    hashes: Mapping[str, str]


class SourceKind(StrEnum):
    """Where a value comes from, as inventories say it."""

    VAULT = "vault"
    AGE = "age"
    COMMAND = "command"
    VARIABLE = "variable"
    FILE = "file"


@dataclass(frozen=True)
class SecretSource:
    """Where the value of a secret comes from: `words` are a path, a variable's name or a command's words, and `folder`
    is where relative paths begin. `text` is what Ansible Vault holds, encrypted unless it is `open`, None where nothing
    is there. `origin` says in errors where it is written. Only these `services` get it, or all where none is named."""

    kind: SourceKind
    words: tuple[str, ...]
    origin: str = ""
    folder: str = "."
    services: tuple[str, ...] = ()
    text: str | None = field(default=None, repr=False)
    open: bool = False

    def is_for(self, service: str) -> bool:
        """Whether the service may have it."""
        return not self.services or service in self.services


Values = Mapping[str, bytes]


@dataclass(frozen=True)
class Given:
    """The values that hosts are to get, by host and name, and a salt for hosts that have none yet."""

    values: Mapping[str, Values] = field(default_factory=dict, repr=False)
    salt: str = ""

    def set_for(self, host: str, directory: str, known: Iterable[SecretSet | None]) -> SecretSet | None:
        """What the host will remember of its values; `known` are its sets, the newest first."""
        values = self.values.get(host)
        if not values:
            return None
        salt = next((each.salt for each in known if each), self.salt)
        return SecretSet(directory, salt, {name: hashed(value, salt) for name, value in sorted(values.items())})


NONE_GIVEN = Given()


def hashed(value: bytes, salt: str) -> str:
    """What is remembered of a value."""
    return hmac.new(bytes.fromhex(salt), value, hashlib.sha256).hexdigest()


def changed(wanted: Iterable[SecretRef], old: SecretSet | None, new: SecretSet | None) -> tuple[str, ...]:
    """The names of the `wanted` secrets whose values differ, or cannot be compared."""
    before, after = (each.hashes if each else {} for each in (old, new))
    comparable = old is None or new is None or old.salt == new.salt
    names = sorted({each.name for each in wanted})
    return tuple(name for name in names if not comparable or before.get(name) != after.get(name))


def texts(values: Iterable[bytes]) -> tuple[str, ...]:
    """The values that can stand in a text, for a mask."""
    found = []
    for value in values:
        try:
            found.append(value.decode())
        except UnicodeDecodeError:
            continue
    return tuple(found)
