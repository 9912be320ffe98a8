"""HTTP over SSH channels: a pool of channels to the Engine's socket, with keep-alive.

An answer that never ends, or never comes, ends in relman/hosts/ssh/bounded.py.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import paramiko
from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from relman.docker.client import Body, Client
from relman.docker.no_engine import no_engine, socket_hint
from relman.docker.upgraded import Upgraded
from relman.hosts.ssh.bounded import MOST_HEAD, Bounds, ChannelSocket, Late, TooLarge
from relman.hosts.ssh.connection import ChannelRefused, Connection
from relman.hosts.ssh.foreign_errors import chain, late, said
from relman.model.errors import EngineError, RelmanError, Unreachable

logging.getLogger("urllib3").addHandler(logging.NullHandler())
logging.getLogger("urllib3").propagate = False

T = TypeVar("T")
API_VERSION = "1.41"
_DIAL_STDIO = ("system", "dial-stdio")
_PING = b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"
_FAILED = 300


class _HTTPConnection(HTTPConnection):
    """A connection that bounds the answer to each of its requests."""

    def __init__(self, opener: Callable[[], ChannelSocket], bounds: Callable[[], Bounds]) -> None:
        super().__init__("docker")
        self._opener = opener
        self._bounds = bounds
        self._channel: ChannelSocket | None = None

    def connect(self) -> None:
        """Open a channel."""
        self._channel = self.sock = self._opener()

    def request(self, *arguments: Any, **options: Any) -> None:
        """Send a request; from now on its answer is awaited."""
        if self.sock is None:
            self.connect()
        if self._channel:
            self._channel.bound(self._bounds())
        super().request(*arguments, **options)

    def getresponse(self) -> Any:
        """The head of the answer; what is refused is no stream."""
        answer = super().getresponse()
        if self._channel and answer.status < _FAILED:
            self._channel.flow()
        return answer

    def renew(self) -> None:
        """The stream has made progress."""
        if self._channel:
            self._channel.flow()

    @property
    def is_connected(self) -> bool:
        """Whether it can be used once more."""
        return self.sock is not None and bool(getattr(self.sock, "usable", False))


class _Pool(HTTPConnectionPool):
    """`asked` holds what the answer to the thread's request may take."""

    def __init__(self, opener: Callable[[], ChannelSocket]) -> None:
        super().__init__("docker", maxsize=4)
        self._opener = opener
        self.asked = threading.local()

    def _new_conn(self) -> Any:
        return _HTTPConnection(self._opener, lambda: self.asked.bounds)


class HostClient(Client):
    """Calls of a host's engine, and the streams of both directions there."""

    def __init__(self, channels: EngineChannels) -> None:
        super().__init__(channels)
        self._channels = channels

    def upgrade(
        self, what: str, path: str, *names: str, params: Mapping[str, Any] | None = None, body: Any = None
    ) -> Upgraded:
        """Ask for a stream of both directions, or for what is answered in its own time; whoever asked closes it."""
        with self.edge(what, Bounds(self._channels.patience)):
            sent = b"" if body is None else json.dumps(body).encode()
            stream = self._channels.upgrade(self._url(path, names, params), sent)
            if stream.status < _FAILED:
                stream.flow()
                return stream
            with closing(stream):
                raise self._refused(what, stream.status, stream.body())


class EngineChannels:
    """Sends requests through `connection` to the Engine's socket: stream-local first; where the host refuses that, by
    the docker command there. What worked is remembered."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.host, self.version = connection.host.name, API_VERSION
        self.patience, self.timeout = connection.patience, connection.timeout
        self._pool = _Pool(self._open)
        self._one_by_one = threading.Lock()
        self._spare: ChannelSocket | None = None

    def send(self, method: str, path: str, body: Body, headers: Mapping[str, str], bounds: Bounds) -> BaseHTTPResponse:
        """Send one request; the answer's body is not read yet. Raises AccessDenied, Unreachable, and what urllib3,
        http.client and paramiko raise."""
        return self._in_turn(partial(self._send, method, path, body, headers, bounds))

    def ask(
        self,
        method: str,
        path: str,
        body: Body,
        headers: Mapping[str, str],
        bounds: Bounds,
        read: Callable[[BaseHTTPResponse], T],
    ) -> T:
        """What `read` makes of the answer to one request, whose channel is free again then. Raises what `send` and
        `read` raise."""
        return self._in_turn(lambda: read(self._send(method, path, body, headers, bounds)))

    def lasting(self, work: Callable[[], T]) -> T:
        """Do what may be done twice; once more where the connection was lost meanwhile and could be opened again."""
        return self._connection.lasting(work)

    def lost(self, what: str, error: Exception, bounds: Bounds) -> RelmanError | None:
        """What an error of the connection or its channels means; an engine that was late is not waited for again."""
        connection, causes = self._connection, list(chain(error))
        if told := next((each for each in causes if isinstance(each, RelmanError)), None):
            told.host = told.host or self.host
            return told
        if too_large := next((each for each in causes if isinstance(each, TooLarge)), None):
            return EngineError(f"{what}: {too_large}", host=self.host)
        if not connection.alive:
            return Unreachable(connection.gone, host=self.host)
        if late(error):
            waited = next((each.seconds for each in causes if isinstance(each, Late)), bounds.seconds)
            if waited == bounds.stall:
                return EngineError(f"{what}: it made no progress for {waited:g} s", host=self.host)
            gone = connection.give_up(f"{what}: the Docker engine did not answer within {waited:g} s")
            gone.hint = self.hint
            return gone
        return None

    def upgrade(self, path: str, body: bytes) -> Upgraded:
        """Send a POST whose answer goes on in both directions, over a channel of its own. Raises what `send` raises."""
        channel = self._open()
        try:
            return Upgraded.asked(channel, path, body, self.patience)
        except BaseException:
            channel.close()
            raise

    @property
    def hint(self) -> str:
        """What to look at where the engine does not answer."""
        return socket_hint(self._connection)

    def _in_turn(self, work: Callable[[], T]) -> T:
        """Do it; one after the other where each request that is under way takes a session of sshd."""
        if self._connection.streamlocal:
            try:
                return work()
            except ChannelRefused as refused:
                with self._one_by_one:
                    if self._connection.streamlocal:
                        self._fall_back(refused)
        with self._one_by_one:
            return work()

    def _send(self, method: str, path: str, body: Body, headers: Mapping[str, str], bounds: Bounds) -> BaseHTTPResponse:
        self._pool.asked.bounds = bounds
        return self._pool.urlopen(
            method,
            path,
            body,
            headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=None,
            preload_content=False,
            decode_content=False,
        )

    def _open(self) -> ChannelSocket:
        connection = self._connection
        if connection.streamlocal:
            return ChannelSocket(connection.unix(connection.host.docker_socket), process=False, pulse=self._ping)
        spare, self._spare = self._spare, None
        return spare or self._dial()

    def _dial(self) -> ChannelSocket:
        words = (*self._connection.host.docker_command, *_DIAL_STDIO)
        return ChannelSocket(self._connection.command(words), process=True, pulse=self._ping)

    def _ping(self) -> None:
        """Ask whether the engine lives, beside a stream that says nothing. Raises what a request raises."""
        channel = self._open()
        try:
            self._answered(channel)
        finally:
            channel.close()

    def _answered(self, channel: ChannelSocket) -> bytes:
        """What the engine answers to a ping, as far as the end of its head."""
        channel.bound(Bounds(self._connection.patience, MOST_HEAD))
        channel.sendall(_PING)
        answer = b""
        while not answer.endswith(b"\r\n\r\n") and (data := channel.recv(4096)):
            answer += data
        return answer

    def _fall_back(self, refused: ChannelRefused) -> None:
        """A refusal can also mean that no engine listens: only an answer through the command shows which it is."""
        channel = self._dial()
        try:
            answer = self._answered(channel)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise no_engine(self._connection, said(error)) from error
        if not answer:
            raise no_engine(self._connection, "") from refused
        self._spare, self._connection.streamlocal = channel, False
