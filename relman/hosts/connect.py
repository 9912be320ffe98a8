"""One SSH connection a host: host keys always verified, nothing forwarded, everything bounded in time."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import shlex
import socket
import struct
import sys
import termios
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import fabric
import paramiko

from relman.hosts.known import KnownHosts, UnknownKey
from relman.hosts.sftp import Sftp
from relman.hosts.streamlocal import open_streamlocal
from relman.model.errors import AccessDenied, HostKeyRejected, RelmanError, Unreachable
from relman.model.host import Hop, Host, SshOptions

logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False

T = TypeVar("T")
KEEPALIVE = 15
_ASIDE = 8
_WEAK = {
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-md5", "hmac-md5-96", "hmac-sha1-96"],
}


class Connection:
    """An open connection to one host. Safe for the threads of one host; `close` ends whatever is under way on it."""

    def __init__(self, host: Host, chain: list[fabric.Connection], timeout: float) -> None:
        self.host = host
        self.timeout = timeout
        self._chain = chain
        self._sftp: Sftp | None = None
        self._mutex = threading.Lock()
        self._aside = ThreadPoolExecutor(_ASIDE, thread_name_prefix="aside")
        self.streamlocal = True

    @property
    def transport(self) -> paramiko.Transport:
        """The SSH transport of the last hop; raises Unreachable once it is gone."""
        transport: paramiko.Transport | None = self._chain[-1].client.get_transport()
        if transport is None or not transport.is_active():
            raise Unreachable("the SSH connection broke", host=self.host.name)
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
        """A channel to a socket of the host. Raises paramiko.ChannelException when the host refuses."""
        channel = open_streamlocal(self.transport, path, self.timeout)
        channel.settimeout(self.timeout)
        return channel

    def tcp(self, address: str, port: int, timeout: float) -> paramiko.Channel:
        """A channel to a TCP port as the host reaches it (RFC 4254, direct-tcpip). Raises paramiko.ChannelException."""
        channel = self.transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=timeout)
        channel.settimeout(timeout)
        return channel

    def command(self, words: Sequence[str]) -> paramiko.Channel:
        """A channel to a remote process: the words arrive as they are. Raises Unreachable when no session is left."""
        channel = self._session()
        channel.settimeout(self.timeout)
        channel.exec_command(shlex.join(words))
        return channel

    def sftp(self) -> Sftp:
        """The connection's one SFTP client. Raises Unreachable when the host offers none."""
        with self._mutex:
            if self._sftp is None:
                self._sftp = self._open_sftp()
            return self._sftp

    def _open_sftp(self) -> Sftp:
        try:
            channel = self._session()
            channel.settimeout(self.timeout)
            return Sftp(channel)
        except (EOFError, OSError, paramiko.SSHException) as error:
            said = str(error) or ("sshd refuses it" if self.alive else "the connection broke")
            raise Unreachable(f"SFTP could not be opened: {said}", host=self.host.name) from error

    def _session(self) -> paramiko.Channel:
        try:
            return self.transport.open_session(timeout=self.timeout)
        except paramiko.ChannelException as error:
            raise Unreachable(
                f"sshd refuses one more session on the connection ({error.text})",
                host=self.host.name,
                hint="MaxSessions in its sshd_config: relman needs one session for its records, and one for a Docker "
                "call where sshd does not open the engine's socket itself (AllowStreamLocalForwarding)",
            ) from error

    def close(self) -> None:
        """Close the connection and those to its jump hosts; what is still on its way is dropped."""
        with contextlib.suppress(Exception):
            sock = self._chain[0].client.get_transport().sock
            _linger(sock, in_peace=not _unacknowledged(sock))
        for link in reversed(self._chain):
            with contextlib.suppress(Exception):
                link.client.close()
        self._aside.shutdown(wait=False, cancel_futures=True)


def connect(host: Host, ssh: SshOptions) -> Connection:
    """Connect to `host` through its jump hosts.

    Raises HostKeyRejected, AccessDenied or Unreachable; the message names the jump host where one is at fault.
    """
    config = fabric.Config(lazy=True, overrides={"load_ssh_configs": False, "forward_agent": False})
    known = KnownHosts(ssh.known_hosts)
    chain: list[fabric.Connection] = []
    for hop in (*host.jumps, host.endpoint):
        try:
            chain.append(_open(hop, chain, config, known, ssh))
        except RelmanError as error:
            for link in reversed(chain):
                link.client.close()
            error.host = host.name if hop == host.endpoint else f"{host.name}: jump host {hop.address}"
            raise
    return Connection(host, chain, ssh.operation_timeout)


def _open(
    hop: Hop, chain: list[fabric.Connection], config: fabric.Config, known: KnownHosts, ssh: SshOptions
) -> fabric.Connection:
    link = fabric.Connection(
        hop.address,
        user=hop.user,
        port=hop.port,
        config=config,
        gateway=chain[-1] if chain else None,
        forward_agent=False,
        connect_timeout=ssh.connect_timeout,
        connect_kwargs=_arguments(hop, ssh),
    )
    known.guard(link.client)
    with _explained(hop, known, ssh):
        if not chain:
            link.connect_kwargs["sock"] = _socket(hop, ssh.connect_timeout)
        link.open()
    transport = link.client.get_transport()
    transport.set_keepalive(KEEPALIVE)
    return link


def _arguments(hop: Hop, ssh: SshOptions) -> dict[str, Any]:
    return {
        "key_filename": list(hop.identity_files) or None,
        "allow_agent": ssh.use_agent,
        "look_for_keys": not hop.identity_files,
        "disabled_algorithms": _WEAK,
        "banner_timeout": ssh.connect_timeout * 2,
        "auth_timeout": ssh.connect_timeout * 2,
        "channel_timeout": ssh.connect_timeout,
    }


def _socket(hop: Hop, timeout: float) -> socket.socket:
    sock = socket.create_connection((hop.address, hop.port), timeout=timeout)
    # Without it every new channel waits for a delayed acknowledgement: 20 to 40 ms each.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _linger(sock, in_peace=False)
    return sock


def _linger(sock: socket.socket, *, in_peace: bool) -> None:
    """Whether the kernel goes on sending for a process that ended or was killed (socket(7), SO_LINGER): then a change
    can reach a host whose cable is back when others are at work there."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0 if in_peace else 1, 0))


def _unacknowledged(sock: socket.socket) -> int:
    """The number of bytes on their way (tcp(7), SIOCOUTQ)."""
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


@contextlib.contextmanager
def _explained(hop: Hop, known: KnownHosts, ssh: SshOptions) -> Any:
    try:
        yield
    except UnknownKey as error:
        raise HostKeyRejected(
            f"the host key of {error.name} is not known ({error.fingerprint})",
            hint=f"compare it on the host itself, then add it to {known.first_file}",
        ) from error
    except paramiko.BadHostKeyException as error:
        raise HostKeyRejected(
            f"the host key of {hop.address} is not the known one: it shows {known.fingerprint(error.key)}, "
            f"known is {known.fingerprint(error.expected_key)}",
            hint=f"somebody may be in between, or the host was made anew; compare, then mend {known.first_file}",
        ) from error
    except paramiko.AuthenticationException as error:
        keys = ", ".join(hop.identity_files) or "the agent's and the default keys"
        raise AccessDenied(f"{hop.user}@{hop.address} was not let in with {keys}", hint="check user and key") from error
    except paramiko.PasswordRequiredException as error:
        raise AccessDenied("the key file needs a passphrase", hint="add it to the SSH agent: ssh-add") from error
    except TimeoutError as error:
        text = f"{hop.address}:{hop.port} did not answer within {ssh.connect_timeout:g} s"
        raise Unreachable(text, hint="is the host up, and reachable from here?") from error
    except FileNotFoundError as error:
        raise AccessDenied(
            f"there is no key file {error.filename}", hint="check the inventory and ssh_config"
        ) from error
    except socket.gaierror as error:
        hint = "check ansible_host and the spelling"
        raise Unreachable(f"the address {hop.address} cannot be found", hint=hint) from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        said = getattr(error, "strerror", None) or error or "the connection was closed"
        raise Unreachable(f"{hop.address}:{hop.port} cannot be reached: {said}") from error
