"""Sessions of a connection, of which sshd allows MaxSessions (https://man.openbsd.org/sshd_config#MaxSessions)."""

from __future__ import annotations

import time

import paramiko

from relman.model.errors import Unreachable

_FREED = 2.0  # seconds
_PAUSE = 0.1


def open_session(transport: paramiko.Transport, host: str, patience: float) -> paramiko.Channel:
    """A new session. sshd counts one that was closed until its process has ended, so a refusal is not believed at once.

    Raises Unreachable, and what paramiko raises.
    """
    end = time.monotonic() + min(_FREED, patience)
    while True:
        try:
            return transport.open_session(timeout=patience)
        except paramiko.ChannelException as error:
            if time.monotonic() > end:
                raise Unreachable(
                    f"sshd refuses one more session on the connection ({error.text})",
                    host=host,
                    hint="MaxSessions in its sshd_config: relman needs one session for its records, and one for a "
                    "Docker call where sshd does not open the engine's socket itself (AllowStreamLocalForwarding)",
                ) from error
        time.sleep(_PAUSE)
