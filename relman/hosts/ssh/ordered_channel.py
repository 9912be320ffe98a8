"""A channel that sends nothing after its close (https://www.rfc-editor.org/rfc/rfc4254#section-5.3).

paramiko sends data outside the channel's lock, since a rekeying would deadlock otherwise. When the other end closes in
that moment, its transport's thread sends the close first; sshd has forgotten the channel when the data comes, and ends
the whole connection: "data packet referred to nonexistent channel".
"""

from __future__ import annotations

from typing import Any

import paramiko
from paramiko.transport import ChannelMap


class OrderedChannel(paramiko.Channel):
    """Whoever sends last while it is closed sends the close, too. `lock` guards both attributes."""

    _under_way = 0
    _ending: tuple[paramiko.Message | None, ...] = ()

    def shutdown(self, how: int) -> None:
        """Receive nothing more (0), send nothing more (1), or both (2)."""
        if how != 1:
            super().shutdown(0)
        if how == 0:
            return
        with self.lock:
            end: paramiko.Message | None = self._send_eof()  # type: ignore[attr-defined]
            self._under_way += end is not None
        if end:
            self._deliver(end)

    def _send(self, data: bytes, message: paramiko.Message) -> int:
        with self.lock:
            if self.closed:
                raise OSError("the channel is closed")
            size: int = self._wait_for_send_window(len(data))  # type: ignore[attr-defined]
            if not size:
                return 0
            message.add_string(data[:size])
            self._under_way += 1
        self._deliver(message)
        return size

    def _deliver(self, message: paramiko.Message) -> None:
        """Send what is counted as under way."""
        transport: Any = self.transport
        try:
            transport._send_user_message(message)
        finally:
            with self.lock:
                self._under_way -= 1
                ending = () if self._under_way else self._ending
            for each in filter(None, ending):
                transport._send_user_message(each)

    def _close_internal(self) -> tuple[paramiko.Message | None, ...]:
        """Close it, and return what is to be sent now. The lock is held."""
        ending: tuple[paramiko.Message | None, ...] = super()._close_internal()  # type: ignore[misc]
        if not self._under_way:
            return ending
        self._ending += ending  # of a second close there is nothing
        return ()


class OrderedChannels(ChannelMap):
    """The channels of a transport, each an OrderedChannel: paramiko has no other way to say of what class they are."""

    def put(self, chanid: int, chan: paramiko.Channel) -> None:
        """Keep a new channel."""
        chan.__class__ = OrderedChannel
        super().put(chanid, chan)
