"""One SFTP client for all threads of a host. Independent requests share a round trip.

Specification: SFTP version 3, https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import paramiko
from paramiko.sftp import (
    CMD_CLOSE,
    CMD_EXTENDED,
    CMD_FSETSTAT,
    CMD_FSTAT,
    CMD_INIT,
    CMD_LSTAT,
    CMD_MKDIR,
    CMD_OPEN,
    CMD_OPENDIR,
    CMD_READ,
    CMD_READDIR,
    CMD_REMOVE,
    CMD_SETSTAT,
    CMD_STATUS,
    CMD_WRITE,
    SFTP_FLAG_APPEND,
    SFTP_FLAG_CREATE,
    SFTP_FLAG_EXCL,
    SFTP_FLAG_READ,
    SFTP_FLAG_TRUNC,
    SFTP_FLAG_WRITE,
    int64,
)

from relman.hosts.ssh.streamlocal import ask_for

P = ParamSpec("P")
T = TypeVar("T")

_VERSION = 3
_GREETING = b"\x02" + _VERSION.to_bytes(4, "big")  # SSH_FXP_VERSION (section 4), after a length of four bytes
_LENGTH = 4
_MOST_NOISE = 1 << 16
_PART = 32768
_MOST_NAMES = 10_000
_OVERSLEPT = 2.0  # seconds
_FSYNC = "fsync@openssh.com"


def _turn(method: Callable[Concatenate[Sftp, P], T]) -> Callable[Concatenate[Sftp, P], T]:
    """Make a method one call: it holds the client's lock and has a time limit."""

    @functools.wraps(method)
    def turn(self: Sftp, /, *arguments: P.args, **named: P.kwargs) -> T:
        with self._call():
            return method(self, *arguments, **named)

    return turn


class Sftp(paramiko.SFTPClient):
    """An SFTP client that threads may share.

    Output before the server's greeting is skipped: if sftp-server is started by a shell, the user's .bashrc runs first.
    Each call takes at most `patience` seconds. Raises OSError if the server refuses, SSHException, EOFError and
    TimeoutError, and nothing else, whatever the server sends.
    """

    def __init__(self, session: paramiko.Channel, patience: float) -> None:
        """Request the subsystem from the session, and exchange versions."""
        self._turn = threading.RLock()
        self._patience = patience
        self._depth = 0
        self._until = 0.0
        ask_for(session, "subsystem", "sftp")
        with self._call():
            super().__init__(session)

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """One thread's call, its time limit, and the one place where malformed responses become SSHException."""
        with self._turn:
            if not self._depth:
                self._until = time.monotonic() + self._patience
            self._depth += 1
            try:
                yield
            except (OSError, EOFError, paramiko.SSHException):
                raise
            except Exception as error:
                raise paramiko.SSHException(
                    f"the SFTP server gave an invalid answer ({type(error).__name__})"
                ) from error
            finally:
                self._depth -= 1

    def _in_time(self) -> Any:
        """The channel, with the time that is left as its timeout."""
        channel: Any = self.sock
        channel.settimeout(max(0.0, self._until - time.monotonic()))
        return channel

    def _read_all(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            if not (part := self._received(size - len(data))):
                raise EOFError
            data += part
        return bytes(data)

    def _received(self, size: int) -> bytes:
        try:
            return bytes(self._in_time().recv(size))
        except TimeoutError:
            if time.monotonic() - self._until < _OVERSLEPT:
                raise
            # This process was suspended, as on a closed laptop: the response may have arrived long ago.
            self._until = time.monotonic() + _OVERSLEPT
            return bytes(self._in_time().recv(size))

    def _write_all(self, data: bytes) -> None:
        while data:
            if not (sent := self._in_time().send(data)):
                raise EOFError
            data = data[sent:]

    @_turn
    def stat(self, path: Any) -> paramiko.SFTPAttributes:
        """The attributes of a path."""
        return super().stat(path)

    @_turn
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

    @_turn
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

    @_turn
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

    @_turn
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

    @_turn
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

    @_turn
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

    @_turn
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

    def _together(self, requests: Sequence[tuple[Any, ...]]) -> list[tuple[int, Any]]:
        """Send all requests before waiting for the first response, wait for all, then raise the first error among them.

        The message of a read beyond the end is None.
        """
        return [self._understood(*answer) for answer in self._answers(requests)]

    def _answers(self, requests: Sequence[tuple[Any, ...]]) -> list[tuple[int, paramiko.Message]]:
        batch = _Batch()
        with self._call():
            numbers = [self._async_request(batch, *request) for request in requests]  # type: ignore[attr-defined]
            while len(batch.answers) < len(numbers):
                self._read_response()  # type: ignore[attr-defined]
        return [batch.answers[number] for number in numbers]

    def _understood(self, kind: int, message: paramiko.Message) -> tuple[int, Any]:
        if kind == CMD_STATUS:
            try:
                self._convert_status(message)  # type: ignore[attr-defined]
            except EOFError:
                return kind, None
        return kind, message

    def _request(self, kind: int, *arguments: Any) -> Any:
        """One request of paramiko's own methods, which otherwise would read the responses of other threads."""
        with self._call():
            return super()._request(kind, *arguments)  # type: ignore[misc]

    def _send_version(self) -> int:
        greeting = paramiko.Message()
        greeting.add_int(_VERSION)
        self._send_packet(CMD_INIT, greeting)  # type: ignore[attr-defined]
        seen = bytearray()
        while len(seen) < _LENGTH + len(_GREETING) or not seen.endswith(_GREETING):
            if len(seen) > _MOST_NOISE:
                raise paramiko.SSHException("something other than an SFTP server answers")
            seen += self._read_all(1)
        length = int.from_bytes(seen[-_LENGTH - len(_GREETING) : -len(_GREETING)], "big")
        self._read_all(length - len(_GREETING))
        return _VERSION


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


class _Batch:
    """The responses so far, by request number."""

    def __init__(self) -> None:
        self.answers: dict[int, tuple[int, paramiko.Message]] = {}

    def _async_response(self, kind: int, message: paramiko.Message, number: int) -> None:
        self.answers[number] = (kind, message)
