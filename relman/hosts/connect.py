"""One SSH connection a host: host keys always verified, nothing forwarded, everything bounded in time."""

from __future__ import annotations

import contextlib
import logging
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import fabric
import paramiko

from relman.hosts import wire
from relman.hosts.known import KnownHosts
from relman.hosts.refusals import explained
from relman.hosts.sftp import Sftp
from relman.hosts.streamlocal import ask_for, open_streamlocal
from relman.hosts.words import late, said
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


class Connection:
    """An open connection to one host. Safe for the threads of one host; `close` ends whatever is under way on it.

    What paramiko raises leaves it as Unreachable, or as ChannelRefused where sshd itself said no.
    """

    def __init__(self, host: Host, chain: list[fabric.Connection], timeout: float) -> None:
        self.host = host
        self.timeout = timeout
        self.patience = min(timeout, PATIENCE)
        self._chain = chain
        self._sftp: Sftp | None = None
        self._mutex = threading.Lock()
        self._aside = ThreadPoolExecutor(_ASIDE, thread_name_prefix="aside")
        self.streamlocal = True
        self.gone = "the SSH connection broke"  # what is said of it once it is no longer alive

    @property
    def transport(self) -> paramiko.Transport:
        """The SSH transport of the last hop; raises Unreachable once it is gone."""
        transport: paramiko.Transport | None = self._chain[-1].client.get_transport()
        if transport is None or not transport.is_active():
            raise Unreachable(self.gone, host=self.host.name)
        return transport

    @property
    def alive(self) -> bool:
        """Whether the SSH connection stands, as far as this end knows."""
        transport = self._chain[-1].client.get_transport()
        return transport is not None and bool(transport.is_active())

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
        """Close the connection to a host that did not answer, which is not waited for again; returns the error, which
        is also that of everything else that was under way."""
        if self.alive:
            self.gone = why
        self.close()
        return Unreachable(why, host=self.host.name)

    def close(self) -> None:
        """Close the connection and those to its jump hosts; what is still on its way is dropped."""
        with contextlib.suppress(Exception):
            sock = self._chain[0].client.get_transport().sock
            wire.linger(sock, in_peace=not wire.unacknowledged(sock))
        for link in reversed(self._chain):
            with contextlib.suppress(Exception):
                link.client.close()
        self._aside.shutdown(wait=False, cancel_futures=True)


def connect(host: Host, ssh: SshOptions) -> Connection:
    """Connect to `host` through its jump hosts.

    Raises HostKeyRejected, AccessDenied, Unreachable or UsageError; the message names the jump host where one is at
    fault.
    """
    chain: list[fabric.Connection] = []
    hop = host.endpoint
    try:
        config = fabric.Config(lazy=True, overrides={"load_ssh_configs": False, "forward_agent": False})
        known = KnownHosts(ssh.known_hosts)
        for via, hop in zip((None, *host.jumps), (*host.jumps, host.endpoint), strict=True):
            with explained(hop, known, _patience(hop, ssh), via):
                _open(hop, chain, config, known, ssh)
    except RelmanError as error:
        for link in reversed(chain):
            with contextlib.suppress(Exception):
                link.client.close()
        error.host = host.name if hop == host.endpoint else f"{host.name}: jump host {hop.address}"
        raise
    return Connection(host, chain, ssh.operation_timeout)


def _open(hop: Hop, chain: list[fabric.Connection], config: fabric.Config, known: KnownHosts, ssh: SshOptions) -> None:
    """Open one link more; it is in the chain, to be closed, even where that fails."""
    patience = _patience(hop, ssh)
    link = fabric.Connection(
        hop.address,
        user=hop.user,
        port=hop.port,
        config=config,
        gateway=chain[-1] if chain else None,
        forward_agent=False,
        connect_timeout=patience,
        connect_kwargs=_arguments(hop, ssh),
    )
    link.connect_kwargs["transport_factory"] = known.guard(link.client, hop)
    if not chain:
        link.connect_kwargs["sock"] = wire.open_socket(hop.address, hop.port, patience)
    chain.append(link)
    link.open()
    transport = link.client.get_transport()
    transport.set_keepalive(KEEPALIVE)


def _patience(hop: Hop, ssh: SshOptions) -> float:
    return hop.connect_timeout or ssh.connect_timeout


def _arguments(hop: Hop, ssh: SshOptions) -> dict[str, Any]:
    patience = _patience(hop, ssh)
    # fabric adds its own list to what is given, and so cannot be given None.
    keys = {"key_filename": list(hop.identity_files)} if hop.identity_files else {}
    return keys | {
        "allow_agent": ssh.use_agent,
        "look_for_keys": not hop.identity_files,
        "disabled_algorithms": _WEAK,
        "banner_timeout": patience * 2,
        "auth_timeout": patience * 2,
        "channel_timeout": patience,
    }
