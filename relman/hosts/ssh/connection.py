"""One SSH connection a host: host keys always verified, no agent forwarded, everything bounded in time."""

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

from relman.hosts.ssh import sign_in
from relman.hosts.ssh.first_hop import first_way
from relman.hosts.ssh.foreign_errors import late, said
from relman.hosts.ssh.gateways import Gateways, NotGreeted
from relman.hosts.ssh.known_hosts import KnownHosts
from relman.hosts.ssh.links import Gateway, Link
from relman.hosts.ssh.refusals import explained
from relman.hosts.ssh.remote_listener import listen, unlisten
from relman.hosts.ssh.renewal import Renewable
from relman.hosts.ssh.sftp import Sftp
from relman.hosts.ssh.sign_in import SignIn
from relman.hosts.ssh.streamlocal import ask_for, open_streamlocal
from relman.model.errors import RelmanError, Unreachable
from relman.model.host import Hop, Host, SshOptions

logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False

T = TypeVar("T")
KEEPALIVE = 15
PATIENCE = 25.0  # seconds: the longest wait for an answer that takes no work
_ASIDE = 8
_FORBIDDEN = 1  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, 5.1)
_WEAK = {
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-md5", "hmac-md5-96", "hmac-sha1-96"],
}


class ChannelRefused(Unreachable):
    """sshd opened no channel. `forbidden`: its configuration does not allow it (RFC 4254, 5.1)."""

    def __init__(self, what: str, *, host: str | None = None, hint: str = "", forbidden: bool = False) -> None:
        super().__init__(what, host=host, hint=hint)
        self.forbidden = forbidden


class Connection(Renewable):
    """An open connection to one host. Safe for the threads of one host; `close` ends whatever is under way on it.

    What paramiko raises leaves it as Unreachable, or as ChannelRefused where sshd itself said no.
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
        """The SSH transport; raises Unreachable once it is gone."""
        transport = self._link.transport
        if transport is None:
            raise Unreachable(self.gone, host=self.host.name)
        return transport

    @property
    def gone(self) -> str:
        """What to say of it once it is no longer alive."""
        return self._given_up or super().gone

    def _adopt(self, fresh: Any) -> None:
        with self._mutex:
            super()._adopt(fresh)
            self._sftp, self._given_up = fresh._sftp, ""
        fresh._aside.shutdown(wait=False)

    def aside(self, work: Callable[[], T]) -> Future[T]:
        """Begin `work` in a thread of its own. What waits there for other such work must be rare: there are few."""
        return self._aside.submit(work)

    def together(self, *works: Callable[[], Any]) -> list[Any]:
        """Do all side by side, the last one in this thread, and give their results in order; raises, when all have
        ended, what one of them raised. One after the other where each call to the engine takes a session of sshd."""
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
        """A channel to a socket of the host. Raises ChannelRefused, also when nobody listens there; or Unreachable."""
        with self._edge():
            return open_streamlocal(self.transport, path, self.patience)

    def tcp(self, address: str, port: int, timeout: float) -> paramiko.Channel:
        """A channel to a TCP port as the host reaches it (RFC 4254, direct-tcpip). Raises ChannelRefused, also when
        nobody listens there; or Unreachable."""
        with self._edge(close=False):
            channel = self.transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=timeout)
            channel.settimeout(timeout)
            return channel

    def listen(self, address: str, port: int, accept: Callable[..., None]) -> bool:
        """Let sshd listen on a port of the host, for one `accept` at a time (RFC 4254, tcpip-forward); whether it does.
        Raises Unreachable."""
        with self._edge():
            return listen(self.transport, address, port, accept, self.patience)

    def unlisten(self, address: str, port: int) -> None:
        """Undo `listen`. Raises Unreachable."""
        with self._edge():
            unlisten(self.transport, address, port, self.patience)

    def command(self, words: Sequence[str]) -> paramiko.Channel:
        """A channel to a remote process: the words arrive as they are. Where sshd runs none it is closed at once.
        Raises Unreachable."""
        with self._edge():
            channel = self._session()
            ask_for(channel, "exec", shlex.join(words))
            return channel

    def sftp(self) -> Sftp:
        """The connection's one SFTP client. Raises Unreachable when the host offers none."""
        with self._mutex, self._edge("SFTP could not be opened: ", "sshd refuses it"):
            if self._sftp is None:
                self._sftp = Sftp(self._session(), self.patience)
            return self._sftp

    def _session(self) -> paramiko.Channel:
        try:
            return self.transport.open_session(timeout=self.patience)
        except paramiko.ChannelException as error:
            raise Unreachable(
                f"sshd refuses one more session on the connection ({error.text})",
                host=self.host.name,
                hint="MaxSessions in its sshd_config: relman needs one session for its records, and one for a Docker "
                "call where sshd does not open the engine's socket itself (AllowStreamLocalForwarding)",
            ) from error

    @contextlib.contextmanager
    def _edge(self, before: str = "", silent: str = "sshd closed the channel", *, close: bool = True) -> Iterator[None]:
        """Turn what paramiko raises, which may be whatever ended its thread, into the model's errors. A host that does
        not answer is not waited for again: with `close` the connection is closed."""
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
        """Close the connection to a host that did not answer; returns the error, which is also that of everything else
        that was under way. It is opened again only where the network was silent, not what runs there."""
        if self.alive:
            self._given_up, silent = why, self._link.stuck
            self._link.drop()
            if not silent:
                self.close()
        return Unreachable(why, host=self.host.name)

    def close(self) -> None:
        """Close the connection, and that to a jump host with the last host behind it; what is still on its way is
        dropped."""
        super().close()
        self._aside.shutdown(wait=False, cancel_futures=True)


def connect(host: Host, ssh: SshOptions, gateways: Gateways | None = None) -> Connection:
    """Connect to `host` through its jump hosts, which are shared where others of the same `gateways` have the same.

    With `gateways` it is opened again where it is lost and the host lives.

    Raises HostKeyRejected, AccessDenied, Unreachable or UsageError; the message names the jump host where one is at
    fault.
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
    """Sign in at `hop`. Raises whatever paramiko does, and NotGreeted."""
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
