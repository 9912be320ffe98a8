"""An open SSH connection to one hop, whose way may be a jump host's connection that many share."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import paramiko

from relman.hosts.ssh import tcp
from relman.model.host import Hop


class Link:
    """An open SSH connection to a host or a jump host, through the jump host `via` if there is one."""

    def __init__(self, client: Any, via: Gateway | None = None) -> None:
        self.client = client
        self.via = via
        self._mutex = threading.Lock()
        self._closed = False

    @property
    def transport(self) -> paramiko.Transport | None:
        """Its SSH transport, None once it is gone."""
        transport: paramiko.Transport | None = self.client.get_transport()
        return transport if transport is not None and transport.is_active() else None

    @property
    def alive(self) -> bool:
        """Whether it stands, as far as this end knows."""
        return self.transport is not None

    @property
    def broken(self) -> str:
        """What to say of it once it is no longer alive."""
        lost = self.via.lost if self.via else ""
        return lost or "the SSH connection broke"

    @property
    def stuck(self) -> bool:
        """Whether what was sent last is not even acknowledged, and so the network or the machine is silent, not a
        program there."""
        if self.via:
            return self.via.stuck
        with contextlib.suppress(Exception):
            return tcp.stuck(self.client.get_transport().sock)
        return False

    def close(self) -> None:
        """Close it; what is still on its way is dropped. Its share in a jump host's connection is let go."""
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
        """Close it because nobody answers; where the jump host is what is silent, its connection too, or what was sent
        might still go through it later."""
        if self.via and self.stuck:
            self.via.drop()
        self.close()


class Gateway(Link):
    """The connection to a jump host, with a share for each link through it and one for who keeps it open meanwhile.
    Channels to what is behind it are no sessions (MaxSessions of sshd_config(5) does not count them)."""

    def __init__(self, hop: Hop, link: Link) -> None:
        super().__init__(link.client, link.via)
        self.hop = hop
        self._shares = 1

    @property
    def lost(self) -> str:
        """What to say to each host behind it once it is no longer alive, else nothing."""
        farther = self.via.lost if self.via else ""
        return farther or ("" if self.alive else f"the SSH connection to the jump host {self.hop.address} broke")

    def channel(self, hop: Hop, timeout: float) -> paramiko.Channel:
        """The way to `hop` (RFC 4254, direct-tcpip). Raises what paramiko raises, EOFError when it is gone."""
        transport = self.transport
        if transport is None:
            raise EOFError
        return transport.open_channel("direct-tcpip", (hop.address, hop.port), ("127.0.0.1", 0), timeout=timeout)

    def share(self) -> None:
        """One more uses it."""
        with self._mutex:
            self._shares += 1

    def release(self) -> None:
        """One less uses it; the last one closes it."""
        with self._mutex:
            self._shares -= 1
            last = not self._shares
        if last:
            self.close()
