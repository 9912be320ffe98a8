"""Files on a host, read and written in few round trips.

Specification: SFTP version 3, https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import paramiko
from paramiko.sftp import (
    CMD_CLOSE,
    CMD_EXTENDED,
    CMD_FSETSTAT,
    CMD_FSTAT,
    CMD_LSTAT,
    CMD_MKDIR,
    CMD_OPEN,
    CMD_OPENDIR,
    CMD_READ,
    CMD_READDIR,
    CMD_REMOVE,
    CMD_SETSTAT,
    CMD_WRITE,
    SFTP_FLAG_APPEND,
    SFTP_FLAG_CREATE,
    SFTP_FLAG_EXCL,
    SFTP_FLAG_READ,
    SFTP_FLAG_TRUNC,
    SFTP_FLAG_WRITE,
    int64,
)

from relman.hosts.ssh.sftp_conversation import Conversation, turn

_PART = 32768
_MOST_NAMES = 10_000
_FSYNC = "fsync@openssh.com"


class Sftp(Conversation):
    """The files of a host, for all its threads. Each call raises OSError if the server refuses, SSHException, EOFError
    and TimeoutError, and nothing else."""

    @turn
    def stat(self, path: Any) -> paramiko.SFTPAttributes:
        """The attributes of a path."""
        return super().stat(path)

    @turn
    def listdir(self, path: Any = ".") -> list[str]:
        """The names in a directory. Raises SSHException for more than _MOST_NAMES."""
        handle = self._request(CMD_OPENDIR, path)[1].get_binary()
        names: list[str] = []
        with contextlib.suppress(EOFError):
            while len(names) <= _MOST_NAMES:
                names += _names(self._request(CMD_READDIR, handle)[1])
        self._request(CMD_CLOSE, handle)
        if len(names) > _MOST_NAMES:
            raise paramiko.SSHException(f"more than {_MOST_NAMES} files in {path}")
        return [name for name in names if name not in (".", "..")]

    @turn
    def write_file(self, path: str, data: bytes, mode: int, *, append: bool = False) -> int:
        """Write or append to a file with this mode (less the host's umask), in two round trips.

        Waits for the response to every part and to the close. Returns the file's size.
        """
        attributes = paramiko.SFTPAttributes()
        attributes.st_mode = mode
        how = SFTP_FLAG_APPEND if append else SFTP_FLAG_TRUNC
        handle = self._open(path, SFTP_FLAG_WRITE | SFTP_FLAG_CREATE | how, attributes)
        starts = range(0, len(data), _PART)
        writes = [(CMD_WRITE, handle, int64(start), data[start : start + _PART]) for start in starts]
        *_, (_, described), _ = self._together([*writes, (CMD_FSTAT, handle), (CMD_CLOSE, handle)])
        return _size(described)

    @turn
    def write_all(self, directories: Sequence[str], mode: int, files: Mapping[str, bytes], file_mode: int) -> None:
        """Make the directories that are not there, outermost first, and write these files anew in them, in two round
        trips; where the server can say so, they are on the disk then. The modes are what is given, whatever the host's
        umask; but what is another user's keeps its own."""
        opened, new = paramiko.SFTPAttributes(), SFTP_FLAG_WRITE | SFTP_FLAG_CREATE | SFTP_FLAG_EXCL
        opened.st_mode = 0o600
        begin: list[tuple[Any, ...]] = []
        for each in directories:
            begin += [(CMD_MKDIR, each.encode(), _of_mode(mode)), (CMD_SETSTAT, each.encode(), _of_mode(mode))]
        begin += [(CMD_REMOVE, path.encode()) for path in files]
        made = self._answers([*begin, *((CMD_OPEN, path.encode(), new, opened) for path in files)])[len(begin) :]
        handles = [self._understood(*answer)[1].get_binary() for answer in made]
        ends: list[tuple[Any, ...]] = []
        for handle, data in zip(handles, files.values(), strict=True):
            starts = range(0, len(data), _PART)
            ends += [(CMD_WRITE, handle, int64(start), data[start : start + _PART]) for start in starts]
            ends += [(CMD_FSETSTAT, handle, _of_mode(file_mode)), (CMD_EXTENDED, _FSYNC, handle), (CMD_CLOSE, handle)]
        for (kind, *_), answer in zip(ends, self._answers(ends), strict=True):
            if kind != CMD_EXTENDED:
                self._understood(*answer)

    @turn
    def read_file(self, path: str, most: int) -> tuple[bytes, float]:
        """A file's first `most` bytes and its modification time (seconds since the epoch); two round trips if it is
        small."""
        handle = self._open(path, SFTP_FLAG_READ, paramiko.SFTPAttributes())
        try:
            (_, head), (_, described) = self._together([(CMD_READ, handle, int64(0), _PART), (CMD_FSTAT, handle)])
            attributes: Any = paramiko.SFTPAttributes._from_msg(described)  # type: ignore[attr-defined]
            data, size = head.get_string() if head else b"", int(attributes.st_size or 0)
            while len(data) < min(size, most) and (part := self._part(handle, len(data))):
                data += part
        finally:
            # nobody waits for that answer
            self._async_request(type(None), CMD_CLOSE, handle)  # type: ignore[attr-defined]
        return data[:most], float(attributes.st_mtime or 0)

    @turn
    def read_end(self, path: str, most: int) -> bytes:
        """A file's last `most` bytes, in three round trips."""
        handle = self._open(path, SFTP_FLAG_READ, paramiko.SFTPAttributes())
        try:
            size = _size(self._together([(CMD_FSTAT, handle)])[0][1])
            starts = range(max(0, size - most), size, _PART)
            parts = self._together([(CMD_READ, handle, int64(start), _PART) for start in starts])
        finally:
            # nobody waits for that answer
            self._async_request(type(None), CMD_CLOSE, handle)  # type: ignore[attr-defined]
        return b"".join(message.get_string()[:_PART] for _, message in parts if message)[-most:]

    @turn
    def may_write(self, path: str) -> bool | None:
        """Whether the user may write to the path, which may be a socket (those cannot be opened); None if it does not
        exist."""
        try:
            handle = self._open(path, SFTP_FLAG_READ | SFTP_FLAG_WRITE, paramiko.SFTPAttributes())
        except FileNotFoundError:
            return None
        except PermissionError:
            return False
        except OSError:
            return True
        self._request(CMD_CLOSE, handle)
        return True

    @turn
    def lstats(self, paths: Sequence[str]) -> list[paramiko.SFTPAttributes | None]:
        """The attributes of each path, links not followed, or None if it does not exist or is hidden; one round
        trip."""
        answers = self._answers([(CMD_LSTAT, path.encode()) for path in paths])
        return [self._described(*answer) for answer in answers]

    def _described(self, kind: int, message: paramiko.Message) -> paramiko.SFTPAttributes | None:
        try:
            _, message = self._understood(kind, message)
        except (FileNotFoundError, PermissionError):
            return None
        attributes: paramiko.SFTPAttributes = paramiko.SFTPAttributes._from_msg(message)  # type: ignore[attr-defined]
        return attributes

    def _part(self, handle: bytes, start: int) -> bytes:
        _, message = self._together([(CMD_READ, handle, int64(start), _PART)])[0]
        return message.get_string() if message else b""

    def _open(self, path: str, flags: int, attributes: paramiko.SFTPAttributes) -> bytes:
        _, message = self._together([(CMD_OPEN, path.encode(), flags, attributes)])[0]
        return bytes(message.get_binary())


def _names(message: paramiko.Message) -> list[str]:
    """The names in an SSH_FXP_NAME; bytes that are not UTF-8 are kept as surrogates, as in os.fsdecode."""
    names = []
    for _ in range(min(message.get_int(), _MOST_NAMES + 1)):
        names.append(message.get_string().decode(errors="surrogateescape"))
        message.get_string()
        paramiko.SFTPAttributes._from_msg(message)  # type: ignore[attr-defined]
    return names


def _of_mode(mode: int) -> paramiko.SFTPAttributes:
    attributes = paramiko.SFTPAttributes()
    attributes.st_mode = mode
    return attributes


def _size(described: Any) -> int:
    attributes: Any = paramiko.SFTPAttributes._from_msg(described)  # type: ignore[attr-defined]
    return int(attributes.st_size or 0)
