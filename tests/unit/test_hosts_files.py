"""Files on a host: what goes wrong with them is said of the right thing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import paramiko
import pytest

from relman.hosts.state_dir.sftp_errors import explained
from relman.model.errors import Unreachable


def test_a_channel_that_is_gone_is_a_host_that_does_not_answer() -> None:
    """Whoever writes after the host died is told by paramiko "Socket is closed", an error without a number: the host
    is unreachable, and not one that has answered that it cannot write."""
    channel = paramiko.Channel(1)
    channel.closed = True
    connection = cast(Any, SimpleNamespace(host=SimpleNamespace(name="h1"), gone="the SSH connection broke"))
    with pytest.raises(Unreachable) as raised, explained(connection, "/var/lib/relman/record.json"):
        channel.sendall(b"{}")
    assert raised.value.host == "h1"
