"""One SSH connection to a host: host keys are always verified, no agent is forwarded, and every wait is bounded."""

from __future__ import annotations

import contextlib
import logging
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

import fabric
import paramiko

from relman.hosts.ssh.first_hop import first_way
from relman.hosts.ssh.foreign_errors import late, said
from relman.hosts.ssh.jump_hosts import Gateways, NotGreeted
from relman.hosts.ssh.keys import sign_in
from relman.hosts.ssh.keys.known_hosts import KnownHosts
from relman.hosts.ssh.keys.sign_in import SignIn
from relman.hosts.ssh.links import Gateway, Link
from relman.hosts.ssh.reconnect import Renewable
from relman.hosts.ssh.refusals import explained
from relman.hosts.ssh.remote_listener import listen, unlisten
from relman.hosts.ssh.sessions import open_session
from relman.hosts.ssh.sftp import Sftp
from relman.hosts.ssh.streamlocal import ask_for, open_streamlocal
from relman.model.errors import RelmanError, Unreachable
from relman.model.host import Hop, Host, SshOptions

logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False

T = TypeVar("T")
KEEPALIVE = 15
PATIENCE = 25.0  # seconds: the longest wait for a response that needs no work
_ASIDE = 8  # threads: work there must not wait for other work there, or the pool deadlocks
_FORBIDDEN = 1  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED: https://www.rfc-editor.org/rfc/rfc4254#section-5.1
_WEAK = {
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-md5", "hmac-md5-96", "hmac-sha1-96"],
}


class ChannelRefused(Unreachable):
    """sshd opened no channel. `forbidden` is whether its configuration does not allow it (RFC 4254, section 5.1)."""

    def __init__(self, what: str, *, host: str | None = None, hint: str = "", forbidden: bool = False) -> None:
        super().__init__(what, host=host, hint=hint)
        self.forbidden = forbidden


class Connection(Renewable):
    """An open connection to one host. Safe for the threads of one host; `close` ends all work on it.

    paramiko's exceptions become Unreachable, or ChannelRefused if sshd itself refused.
    """

    def __init__(self, host: Host, link: Link, timeout: float) -> None:
        super().__init__(host, link)
        self.timeout = timeout
        self.patience = min(timeout, PATIENCE)
        self._sftp: Sftp | None = None
        self._mutex = threading.Lock()
        self._aside = ThreadPoolExecutor(_ASIDE, thread_name_prefix="aside")
        self.streamlocal = True
        self._given_up = ""

    @property
    def transport(self) -> paramiko.Transport:
        """The SSH transport. Raises Unreachable if the connection is lost."""
        transport = self._link.transport
        if transport is None:
            raise Unreachable(self.gone, host=self.host.name)
        return transport

    @property
    def gone(self) -> str:
        """The error text for a lost connection."""
        return self._given_up or super().gone

    def _adopt(self, fresh: Any) -> None:
        with self._mutex:
            super()._adopt(fresh)
            self._sftp, self._given_up = fresh._sftp, ""
        fresh._aside.shutdown(wait=False)

    def aside(self, work: Callable[[], T]) -> Future[T]:
        """Start `work` in another thread. It must not wait for other such work: the pool has eight threads."""
        return self._aside.submit(work)

    def together(self, *works: Callable[[], Any]) -> list[Any]:
        """Run all in parallel, the last one in this thread, and return their results in order.

        Raises one of their exceptions after all have ended. They run in sequence if the engine is not reached through
        stream-local channels, because then each call takes a session of sshd (MaxSessions).
        """
        if len(works) < 2 or not self.streamlocal:
            return [work() for work in works]
        *others, own = works
        begun = [self.aside(work) for work in others]
        try:
            result = own()
        finally:
            wait(begun)
        return [*(each.result() for each in begun), result]

    def unix(self, path: str) -> paramiko.Channel:
        """Open a channel to a Unix socket of the host. Raises ChannelRefused, also if nothing listens there, or
        Unreachable."""
        with self._edge():
            return open_streamlocal(self.transport, path, self.patience)

    def tcp(self, address: str, port: int, timeout: float) -> paramiko.Channel:
        """Open a channel to a TCP port as the host reaches it (direct-tcpip, RFC 4254, section 7.2).

        Raises ChannelRefused, also if nothing listens there, or Unreachable.
        """
        with self._edge(close=False):
            channel = self.transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=timeout)
            channel.settimeout(timeout)
            return channel

    def listen(self, address: str, port: int, accept: Callable[..., None]) -> bool:
        """Let sshd listen on a port of the host (tcpip-forward, RFC 4254, section 7.1), for one `accept` at a time.

        Returns whether it does. Raises Unreachable.
        """
        with self._edge():
            return listen(self.transport, address, port, accept, self.patience)

    def unlisten(self, address: str, port: int) -> None:
        """Undo `listen`. Raises Unreachable."""
        with self._edge():
            unlisten(self.transport, address, port, self.patience)

    def command(self, words: Sequence[str]) -> paramiko.Channel:
        """Open a channel to a remote process, which gets the words unchanged. It is closed if sshd refuses to run one.

        Raises Unreachable.
        """
        with self._edge():
            channel = open_session(self.transport, self.host.name, self.patience)
            ask_for(channel, "exec", shlex.join(words))
            return channel

    def sftp(self) -> Sftp:
        """The connection's single SFTP client. Raises Unreachable if the host offers none."""
        with self._mutex, self._edge("SFTP could not be opened: ", "sshd refuses it"):
            if self._sftp is None:
                self._sftp = Sftp(open_session(self.transport, self.host.name, self.patience), self.patience)
            return self._sftp

    @contextlib.contextmanager
    def _edge(self, before: str = "", silent: str = "sshd closed the channel", *, close: bool = True) -> Iterator[None]:
        """Translate all exceptions below, because paramiko reraises whatever ended its thread. With `close`, a host
        that does not answer is not waited for again: the connection is closed."""
        host = self.host.name
        try:
            yield
        except RelmanError:
            raise
        except paramiko.ChannelException as error:
            forbidden = error.code == _FORBIDDEN
            raise ChannelRefused(f"{before}sshd refuses it ({error.text})", host=host, forbidden=forbidden) from error
        except Exception as error:
            if close and late(error):
                raise self.give_up(f"{before}sshd did not answer within {self.patience:g} s") from error
            if not self.alive:
                raise Unreachable(f"{before}{self.gone}", host=host) from error
            text = silent if isinstance(error, EOFError) or not str(error) else said(error)
            raise Unreachable(f"{before}{text}", host=host) from error

    def give_up(self, why: str) -> Unreachable:
        """Close the connection to a host that did not answer; returns the error, which all other work on it gets, too.

        It is reopened later only if the network was silent, and not the host's software.
        """
        if self.alive:
            self._given_up, silent = why, self._link.stuck
            self._link.drop()
            if not silent:
                self.close()
        return Unreachable(why, host=self.host.name)

    def close(self) -> None:
        """Close the connection, and the jump host's after the last host behind it; unsent data is dropped."""
        super().close()
        self._aside.shutdown(wait=False, cancel_futures=True)


def connect(host: Host, ssh: SshOptions, gateways: Gateways | None = None) -> Connection:
    """Connect to `host` through its jump hosts, whose connections are shared within `gateways`.

    With `gateways` the connection is reopened if it is lost and the host is alive. Raises HostKeyRejected,
    AccessDenied, Unreachable or UsageError, naming the jump host if that is the cause.
    """
    ways = gateways or Gateways()
    try:
        link = _link(host, ssh, ways)
    except RelmanError as error:
        error.host = host.name
        raise
    finally:
        if gateways is None:
            ways.close()
    connection = Connection(host, link, ssh.operation_timeout)
    if gateways:
        connection.reach = partial(connect, host, ssh, gateways)
        connection.seconds = _patience(host.endpoint, ssh)
    return connection


def _link(host: Host, ssh: SshOptions, gateways: Gateways) -> Link:
    known = KnownHosts(ssh.known_hosts)

    def opener(hop: Hop, via: Gateway | None) -> Link:
        patience = _patience(hop, ssh)
        with explained(hop, known, patience, via.hop if via else None):
            return gateways.enter(hop, via, patience * 2, lambda: _open(hop, via, known, ssh))

    via = gateways.to(host.jumps, opener)
    try:
        return opener(host.endpoint, via)
    except BaseException:
        if via:
            via.release()
        raise


def _open(hop: Hop, via: Gateway | None, known: KnownHosts, ssh: SshOptions) -> Link:
    """Log in at `hop`. Raises paramiko's exceptions, and NotGreeted."""
    patience = _patience(hop, ssh)
    opened = fabric.Connection(
        hop.address,
        user=hop.user,
        port=hop.port,
        config=fabric.Config(lazy=True, overrides={"load_ssh_configs": False, "forward_agent": False}),
        forward_agent=False,
        connect_timeout=patience,
        connect_kwargs=_arguments(hop, patience),
    )
    client = opened.client
    opened.connect_kwargs["transport_factory"] = known.guard(client, hop)
    with contextlib.nullcontext(via.channel(hop, patience)) if via else first_way(hop, patience) as sock:
        opened.connect_kwargs["sock"] = sock
        try:
            opened.open()
        except BaseException as error:
            transport = client.get_transport()
            client.close()
            greeted = transport is None or transport.remote_version
            if not greeted and isinstance(error, Exception) and not late(error):
                raise NotGreeted from error
            raise
    client.get_transport().set_keepalive(KEEPALIVE)
    return Link(client, via)


def _patience(hop: Hop, ssh: SshOptions) -> float:
    return hop.connect_timeout or ssh.connect_timeout


def _arguments(hop: Hop, patience: float) -> dict[str, Any]:
    return {
        "auth_strategy": SignIn(hop),
        "disabled_algorithms": _WEAK,
        "banner_timeout": patience * 2,
        "auth_timeout": max(patience * 2, sign_in.SECONDS),
        "channel_timeout": patience,
    }
