"""One conversation with an SFTP server for all threads of a host: calls take turns, and requests share a round trip.

Specification: SFTP version 3, https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import paramiko
from paramiko.sftp import CMD_INIT, CMD_STATUS

from relman.hosts.ssh.streamlocal import ask_for

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="Conversation")

_VERSION = 3
_GREETING = b"\x02" + _VERSION.to_bytes(4, "big")  # SSH_FXP_VERSION (section 4), after a length of four bytes
_LENGTH = 4
_MOST_NOISE = 1 << 16
_OVERSLEPT = 2.0  # seconds


def turn(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Make a method one call: it holds the client's lock and has a time limit."""

    @functools.wraps(method)
    def whole(self: S, /, *arguments: P.args, **named: P.kwargs) -> T:
        with self._call():
            return method(self, *arguments, **named)

    return whole


class Conversation(paramiko.SFTPClient):
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


class _Batch:
    """The responses so far, by request number."""

    def __init__(self) -> None:
        self.answers: dict[int, tuple[int, paramiko.Message]] = {}

    def _async_response(self, kind: int, message: paramiko.Message, number: int) -> None:
        self.answers[number] = (kind, message)
