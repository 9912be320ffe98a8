"""A client of the SSH agent: list its keys, and sign with them.

Specification: SSH Agent Protocol, sections 3.5 and 3.6
(https://datatracker.ietf.org/doc/html/draft-ietf-sshm-ssh-agent#section-3.5).
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from types import TracebackType

from paramiko import Message

_LIST, _LISTED = 11, 12
_SIGN, _SIGNED = 13, 14
_FLAGS = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}
_PATIENCE = 5.0
_SIGNS = 60.0  # seconds: a person may have to touch a security key, or to confirm
_LARGEST = 1 << 20
_MOST = 2048


class AgentError(Exception):
    """The agent cannot be reached, or refuses a request."""


@dataclass(frozen=True)
class AgentKey:
    """A key of the agent: its wire encoding (a key or a certificate), and its comment."""

    blob: bytes
    comment: str


class Agent:
    """The agent that listens on a Unix socket. The constructor and all methods raise AgentError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX)
        try:
            self._sock.settimeout(_PATIENCE)
            self._sock.connect(path)
        except (OSError, ValueError) as error:
            self._sock.close()
            raise AgentError(getattr(error, "strerror", None) or str(error)) from error

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._sock.close()

    def keys(self) -> list[AgentKey]:
        """Its keys, in its order."""
        answer = self._asked(_LIST, b"", _LISTED)
        return [AgentKey(answer.get_string(), _text(answer)) for _ in range(min(answer.get_int(), _MOST))]

    def sign(self, blob: bytes, data: bytes, algorithm: str) -> bytes:
        """Return the signature of `data` by the key with this wire encoding."""
        flags = _FLAGS.get(algorithm.removesuffix("-cert-v01@openssh.com"), 0)
        self._sock.settimeout(_SIGNS)
        return self._asked(_SIGN, _string(blob) + _string(data) + struct.pack(">I", flags), _SIGNED).get_string()

    def _asked(self, kind: int, body: bytes, expected: int) -> Message:
        try:
            self._sock.sendall(_string(bytes([kind]) + body))
            size = struct.unpack(">I", self._received(4))[0]
            answer = self._received(size) if 0 < size <= _LARGEST else b"\0"
        except OSError as error:
            raise AgentError("it does not answer") from error
        if answer[0] != expected:
            raise AgentError("it refuses to sign" if kind == _SIGN else "it gives no list of its keys")
        return Message(answer[1:])

    def _received(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if not (part := self._sock.recv(size - len(data))):
                raise AgentError("it closed the connection")
            data += part
        return data


def _text(message: Message) -> str:
    return message.get_string().decode(errors="replace")


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
