"""HTTP over SSH channels: the transport under docker-py, with keep-alive and one pool for all its URLs."""

from __future__ import annotations

import io
import shlex
import threading
from typing import Any

import paramiko
import requests.adapters
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from relman.hosts.connect import Connection

_DIAL_STDIO = ("system", "dial-stdio")
_PING = b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"
_ANSWER = b"HTTP/1."
_MOST_NOISE = 1 << 20


class _Reader(io.RawIOBase):
    def __init__(self, owner: ChannelSocket) -> None:
        self._owner = owner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._owner.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._owner.let_go()


class ChannelSocket:
    """As much of a socket as http.client needs, over a channel. Like a socket it stays open while a file of it is."""

    def __init__(self, channel: paramiko.Channel, process: bool) -> None:
        self.channel = channel
        self._process = process
        self._files = 0
        self._closing = False
        self._noise = process
        self.sendall = channel.sendall
        self.settimeout = channel.settimeout

    def recv(self, size: int) -> bytes:
        """Some bytes, or none at the end. A process that ended on its own raises ConnectionError with its words."""
        data = self._first(size) if self._noise else self.channel.recv(size)
        if not data and self._process and self.channel.recv_stderr_ready():
            raise ConnectionError(self.channel.recv_stderr(4096).decode(errors="replace").strip())
        return data

    def _first(self, size: int) -> bytes:
        """The first bytes of the engine, without what the user's shell said before (an echo in a .bashrc)."""
        said, skipped = b"", 0
        while _ANSWER not in said:
            skipped += len(said)
            keep = said[1 - len(_ANSWER) :]
            if skipped > _MOST_NOISE or not (data := self.channel.recv(max(1, size - len(keep)))):
                return b""
            said = keep + data
        self._noise = False
        return said[said.index(_ANSWER) :]

    @property
    def usable(self) -> bool:
        """Whether another request can be sent."""
        return not (self.channel.closed or self.channel.eof_received or self.channel.recv_ready())

    def makefile(self, _mode: str = "rb", *_: Any, **__: Any) -> io.BufferedReader:
        """A buffered reader; http.client asks for nothing else."""
        self._files += 1
        return io.BufferedReader(_Reader(self), 65536)

    def let_go(self) -> None:
        """A file of it was closed."""
        self._files -= 1
        if self._closing and not self._files:
            self.channel.close()

    def close(self) -> None:
        """Close now, or when the last file is closed."""
        self._closing = True
        if not self._files:
            self.channel.close()


class NoEngine(ConnectionError):
    """Nothing answers behind the host's socket."""


class _HTTPConnection(HTTPConnection):
    def __init__(self, opener: Any, timeout: Any) -> None:
        super().__init__("docker", timeout=timeout)
        self._opener = opener

    def connect(self) -> None:
        self.sock = self._opener()

    @property
    def is_connected(self) -> bool:
        return self.sock is not None and bool(getattr(self.sock, "usable", False))


class _Pool(HTTPConnectionPool):
    def __init__(self, opener: Any) -> None:
        super().__init__("docker", maxsize=4)
        self._opener = opener

    def _new_conn(self) -> Any:
        return _HTTPConnection(self._opener, self.timeout.connect_timeout)


class EngineAdapter(requests.adapters.BaseAdapter):
    """A requests adapter whose every request goes through `connection` to the Engine's socket: stream-local first;
    where the host refuses that, by the docker command there. What worked is remembered."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self._pool = _Pool(self._open)
        self._inner = _PoolAdapter(self._pool)
        self._one_by_one = threading.Lock()
        self._spare: ChannelSocket | None = None

    def send(self, request: Any, **arguments: Any) -> requests.Response:  # type: ignore[override]
        """Send one request; one after the other where each that is under way takes a session of sshd."""
        if self._connection.streamlocal:
            try:
                return self._inner.send(request, **arguments)
            except paramiko.ChannelException as refused:
                with self._one_by_one:
                    if self._connection.streamlocal:
                        self._fall_back(refused)
        with self._one_by_one:
            return self._inner.send(request, **arguments)

    def close(self) -> None:
        """Close every idle channel."""
        self._pool.close()

    def _open(self) -> ChannelSocket:
        connection = self._connection
        if connection.streamlocal:
            return ChannelSocket(connection.unix(connection.host.docker_socket), process=False)
        spare, self._spare = self._spare, None
        return spare or self._dial()

    def _dial(self) -> ChannelSocket:
        words = (*self._connection.host.docker_command, *_DIAL_STDIO)
        return ChannelSocket(self._connection.command(words), process=True)

    def _fall_back(self, refused: paramiko.ChannelException) -> None:
        """A refusal can also mean that no engine listens: only an answer through the command shows which it is."""
        channel = self._dial()
        try:
            channel.sendall(_PING)
            answer = b""
            while not answer.endswith(b"\r\n\r\n") and (data := channel.recv(4096)):
                answer += data
        except (OSError, paramiko.SSHException) as error:
            raise self._no_engine(str(error)) from error
        if not answer:
            raise self._no_engine("") from refused
        self._spare, self._connection.streamlocal = channel, False

    def _no_engine(self, said: str) -> NoEngine:
        host = self._connection.host
        words = f" ({shlex.join((*host.docker_command, *_DIAL_STDIO))}: {said})" if said else ""
        return NoEngine(f"no Docker engine answers at {host.docker_socket}{words}")


class _PoolAdapter(requests.adapters.HTTPAdapter):
    def __init__(self, pool: _Pool) -> None:
        super().__init__()
        self._pool = pool

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
        return self._pool

    def request_url(self, request: Any, proxies: Any) -> str:  # noqa: ARG002  # the base class passes it
        return str(request.path_url)
