"""One SFTP client for all threads of a host: requests that need not wait for each other share a round trip."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST
from paramiko.sftp import (
    CMD_CLOSE,
    CMD_FSTAT,
    CMD_INIT,
    CMD_LSTAT,
    CMD_OPEN,
    CMD_READ,
    CMD_STATUS,
    CMD_WRITE,
    SFTP_FLAG_APPEND,
    SFTP_FLAG_CREATE,
    SFTP_FLAG_READ,
    SFTP_FLAG_TRUNC,
    SFTP_FLAG_WRITE,
    int64,
)

_VERSION = 3
_GREETING = b"\x02" + _VERSION.to_bytes(4, "big")  # SSH_FXP_VERSION, which a length precedes
_LENGTH = 4
_MOST_NOISE = 1 << 16
_PART = 32768


class Sftp(paramiko.SFTPClient):
    """An SFTP client (draft-ietf-secsh-filexfer-02) that threads may share.

    It passes over whatever is said before the server's greeting: where sftp-server is a program, the user's .bashrc
    runs first. Raises what paramiko raises: OSError for what the server refuses, SSHException, EOFError, TimeoutError.
    """

    def __init__(self, session: paramiko.Channel) -> None:
        """Ask the session for the subsystem and greet it; the session's timeout bounds both."""
        self._turn = threading.RLock()
        _ask_for(session, "sftp")
        super().__init__(session)

    def write_file(self, path: str, data: bytes, mode: int, *, append: bool = False) -> int:
        """Write a file of that mode (less the host's umask) anew or at its end, in two round trips; every part's answer
        is awaited, the end's too. Returns the file's size then."""
        attributes = paramiko.SFTPAttributes()
        attributes.st_mode = mode
        how = SFTP_FLAG_APPEND if append else SFTP_FLAG_TRUNC
        handle = self._open(path, SFTP_FLAG_WRITE | SFTP_FLAG_CREATE | how, attributes)
        starts = range(0, len(data), _PART)
        writes = [(CMD_WRITE, handle, int64(start), data[start : start + _PART]) for start in starts]
        *_, (_, described), _ = self._together([*writes, (CMD_FSTAT, handle), (CMD_CLOSE, handle)])
        return _size(described)

    def read_file(self, path: str, most: int) -> tuple[bytes, float]:
        """A file's first `most` bytes and when it was written (seconds since the epoch): two round trips if small."""
        handle = self._open(path, SFTP_FLAG_READ, paramiko.SFTPAttributes())
        try:
            (_, head), (_, described) = self._together([(CMD_READ, handle, int64(0), _PART), (CMD_FSTAT, handle)])
            attributes: Any = paramiko.SFTPAttributes._from_msg(described)  # type: ignore[attr-defined]
            data, size = head.get_string() if head else b"", int(attributes.st_size or 0)
            while len(data) < min(size, most) and (part := self._part(handle, len(data))):
                data += part
        finally:
            with self._turn:  # nobody waits for that answer
                self._async_request(type(None), CMD_CLOSE, handle)  # type: ignore[attr-defined]
        return data[:most], float(attributes.st_mtime or 0)

    def read_end(self, path: str, most: int) -> bytes:
        """A file's last `most` bytes, in three round trips."""
        handle = self._open(path, SFTP_FLAG_READ, paramiko.SFTPAttributes())
        try:
            size = _size(self._together([(CMD_FSTAT, handle)])[0][1])
            starts = range(max(0, size - most), size, _PART)
            parts = self._together([(CMD_READ, handle, int64(start), _PART) for start in starts])
        finally:
            with self._turn:  # nobody waits for that answer
                self._async_request(type(None), CMD_CLOSE, handle)  # type: ignore[attr-defined]
        return b"".join(message.get_string() for _, message in parts if message)[-most:]

    def lstats(self, paths: Sequence[str]) -> list[paramiko.SFTPAttributes | None]:
        """What each path is, links not followed, or None where nothing is or may be seen, in one round trip."""
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
        """Send every request before the first answer is awaited, await all, then raise the first error among them.

        The message of a read beyond the end is None.
        """
        return [self._understood(*answer) for answer in self._answers(requests)]

    def _answers(self, requests: Sequence[tuple[Any, ...]]) -> list[tuple[int, paramiko.Message]]:
        batch = _Batch()
        with self._turn:
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
        """One request of paramiko's own methods, which would take away the answer that another thread waits for."""
        with self._turn:
            return super()._request(kind, *arguments)  # type: ignore[misc]

    def _send_version(self) -> int:
        greeting = paramiko.Message()
        greeting.add_int(_VERSION)
        self._send_packet(CMD_INIT, greeting)  # type: ignore[attr-defined]
        seen = bytearray()
        while len(seen) < _LENGTH + len(_GREETING) or not seen.endswith(_GREETING):
            if len(seen) > _MOST_NOISE:
                raise paramiko.SFTPError("no SFTP server answers, but much else")
            seen += self._read_all(1)  # type: ignore[attr-defined]
        length = int.from_bytes(seen[-_LENGTH - len(_GREETING) : -len(_GREETING)], "big")
        self._read_all(length - len(_GREETING))  # type: ignore[attr-defined]
        return _VERSION


def _size(described: Any) -> int:
    attributes: Any = paramiko.SFTPAttributes._from_msg(described)  # type: ignore[attr-defined]
    return int(attributes.st_size or 0)


def _ask_for(session: Any, subsystem: str) -> None:
    """Send the request (RFC 4254, 6.5); a refusal closes the session. Channel.invoke_subsystem waits for the answer
    without any limit, of a host that froze too."""
    request = paramiko.Message()
    request.add_byte(cMSG_CHANNEL_REQUEST)
    request.add_int(session.remote_chanid)
    request.add_string("subsystem")
    request.add_boolean(True)
    request.add_string(subsystem)
    session.transport._send_user_message(request)


class _Batch:
    """What has been answered so far, by request number."""

    def __init__(self) -> None:
        self.answers: dict[int, tuple[int, paramiko.Message]] = {}

    def _async_response(self, kind: int, message: paramiko.Message, number: int) -> None:
        self.answers[number] = (kind, message)
