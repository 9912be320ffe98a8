"""SSH connections to one hop, perhaps through a jump host's connection that several share."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import paramiko

from relman.hosts.ssh import tcp
from relman.model.host import Hop


class Link:
    """An open SSH connection to a host or jump host, through the jump host `via` if there is one."""

    def __init__(self, client: Any, via: Gateway | None = None) -> None:
        self.client = client
        self.via = via
        self._mutex = threading.Lock()
        self._closed = False

    @property
    def transport(self) -> paramiko.Transport | None:
        """Its SSH transport, None if the connection is lost."""
        transport: paramiko.Transport | None = self.client.get_transport()
        return transport if transport is not None and transport.is_active() else None

    @property
    def alive(self) -> bool:
        """Whether it is connected, as far as this end knows."""
        return self.transport is not None

    @property
    def broken(self) -> str:
        """The error text for a lost connection."""
        lost = self.via.lost if self.via else ""
        return lost or "the SSH connection broke"

    @property
    def stuck(self) -> bool:
        """Whether sent data is not even acknowledged: then the network or the machine is silent, not a program on
        it."""
        if self.via:
            return self.via.stuck
        with contextlib.suppress(Exception):
            return tcp.stuck(self.client.get_transport().sock)
        return False

    def close(self) -> None:
        """Close it, dropping unsent data, and release its share in the jump host's connection."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
        if self.via is None:
            with contextlib.suppress(Exception):
                sock = self.client.get_transport().sock
                tcp.linger(sock, in_peace=not tcp.unacknowledged(sock))
        with contextlib.suppress(Exception):
            self.client.close()
        if self.via:
            self.via.release()

    def drop(self) -> None:
        """Close it because nothing answers. If the jump host is silent, its connection is closed too, so that data
        already sent to it cannot arrive later."""
        if self.via and self.stuck:
            self.via.drop()
        self.close()


class Gateway(Link):
    """The connection to a jump host, with one share for each link through it and one for its opener.

    Channels through it are not sessions, so MaxSessions (sshd_config(5)) does not limit them.
    """

    def __init__(self, hop: Hop, link: Link) -> None:
        super().__init__(link.client, link.via)
        self.hop = hop
        self._shares = 1

    @property
    def lost(self) -> str:
        """The error text for hosts behind it if the connection is lost, else ""."""
        farther = self.via.lost if self.via else ""
        return farther or ("" if self.alive else f"the SSH connection to the jump host {self.hop.address} broke")

    def channel(self, hop: Hop, timeout: float) -> paramiko.Channel:
        """Open the channel to `hop` (direct-tcpip, RFC 4254, section 7.2). Raises paramiko's exceptions, EOFError if
        lost."""
        transport = self.transport
        if transport is None:
            raise EOFError
        return transport.open_channel("direct-tcpip", (hop.address, hop.port), ("127.0.0.1", 0), timeout=timeout)

    def share(self) -> None:
        """Add a share."""
        with self._mutex:
            self._shares += 1

    def release(self) -> None:
        """Release a share; the last one closes the connection."""
        with self._mutex:
            self._shares -= 1
            last = not self._shares
        if last:
            self.close()
