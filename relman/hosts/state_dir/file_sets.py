"""Sets of small files of a service on a host, for its containers: STATE/ENVIRONMENT/SERVICE/FOLDER/DEPLOYMENT/NAME.

A container's user reads them through its mounts, whoever it is. Nobody else on the host comes to them, because the
service's directory lets nobody through but its owner, or its team.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import files, location
from relman.hosts.state_dir.sftp_errors import explained
from relman.model.errors import PreflightFailed

_DIRECTORY_MODE = 0o755
_TEAM_MODE = 0o2775


@dataclass(frozen=True)
class Content:
    """What sets hold: the name of their directory is its plural; and the mode of their files."""

    folder: str
    mode: int


SECRETS = Content(location.SECRETS, 0o444)
FILES = Content(location.FILES, 0o644)
KINDS = (SECRETS, FILES)


@dataclass(frozen=True)
class FileSets:
    """The sets of one kind, each named after the deployment that wrote it.

    Every method raises what `location.place` raises, and PreflightFailed or Unreachable.
    """

    connection: Connection
    environment: str
    service: str
    kind: Content

    @property
    def kept(self) -> bool:
        """Whether there was a directory of them when the host was looked at first."""
        return self.kind.folder in location.place(self.connection, self.environment, self.service).sets

    def path(self, *names: str) -> str:
        """The directory of all sets, of one set, or one of its files."""
        place = location.place(self.connection, self.environment, self.service)
        return posixpath.join(place.of(self.kind.folder), *names)

    def write(self, directory: str, contents: Mapping[str, bytes]) -> None:
        """Write a set of contents by name, anew. The service's directory must be there."""
        team = location.place(self.connection, self.environment, self.service).team
        own = self.path(directory)
        named = {posixpath.join(own, name): content for name, content in contents.items()}

        def once() -> None:
            with explained(self.connection, own):
                mode = _TEAM_MODE if team else _DIRECTORY_MODE
                try:
                    self.connection.sftp().write_all([posixpath.dirname(own), own], mode, named, self.kind.mode)
                except FileNotFoundError as error:
                    raise PreflightFailed(f"{own} was removed by someone", host=self.connection.host.name) from error

        self.connection.lasting(once)

    def read(self, directory: str, name: str) -> bytes | None:
        """The content of a file, or None where it is not there any more."""
        found = files.read(self.connection, self.path(directory, name))
        return found[0] if found else None

    def missing(self, directory: str, names: Iterable[str]) -> tuple[str, ...]:
        """Those of these names whose files are not in the set."""
        wanted = tuple(names)
        own = self.path(directory)

        def once() -> tuple[str, ...]:
            with explained(self.connection, own):
                found = self.connection.sftp().lstats([posixpath.join(own, name) for name in wanted])
                return tuple(name for name, there in zip(wanted, found, strict=True) if there is None)

        return self.connection.lasting(once)

    def all(self) -> tuple[str, ...]:
        """The directories of all sets."""
        return self._names(self.path())

    def remove(self, directory: str) -> None:
        """Remove a set."""
        own = self.path(directory)
        for name in self._names(own):
            files.remove(self.connection, posixpath.join(own, name))
        self._rmdir(own)

    def remove_all(self) -> None:
        """Remove the directory of all sets, which must be empty."""
        self._rmdir(self.path())

    def _names(self, directory: str) -> tuple[str, ...]:
        def once() -> tuple[str, ...]:
            with explained(self.connection, directory):
                try:
                    return tuple(self.connection.sftp().listdir(directory))
                except FileNotFoundError:
                    return ()

        return self.connection.lasting(once)

    def _rmdir(self, directory: str) -> None:
        def once() -> None:
            with explained(self.connection, directory), contextlib.suppress(FileNotFoundError):
                self.connection.sftp().rmdir(directory)

        self.connection.lasting(once)
