"""The connection to the first hop: TCP, or the ProxyCommand in ssh_config."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from relman.hosts.ssh import tcp
from relman.hosts.ssh.keys.known_hosts import BadKey
from relman.hosts.ssh.proxy_command import ProxySocket
from relman.model.errors import RelmanError, Unreachable
from relman.model.host import Hop


@contextlib.contextmanager
def first_way(hop: Hop, timeout: float) -> Iterator[socket.socket]:
    """The socket to the first hop, through its ProxyCommand if it has one; closed if the body raises.

    Raises Unreachable instead if the ProxyCommand was the cause.
    """
    sock = ProxySocket(hop.proxy) if hop.proxy else tcp.open_socket(hop.address, hop.port, timeout)
    try:
        yield sock
    except (RelmanError, BadKey):
        sock.close()
        raise
    except BaseException as error:
        told = _blamed(sock, hop) if isinstance(sock, ProxySocket) else None
        sock.close()
        raise told or error from error


def _blamed(sock: ProxySocket, hop: Hop) -> Unreachable | None:
    hint = f"try it by hand: it is the ProxyCommand of {hop.proxy.origin}" if hop.proxy else ""
    if how := sock.failed():
        return Unreachable(f"the ProxyCommand for {hop.address} ended with {how}", hint=hint)
    if sock.last_words:
        return Unreachable(f"no SSH server answers through the ProxyCommand: {sock.last_words}", hint=hint)
    return None
