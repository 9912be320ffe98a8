"""Health probes from the host's own point of view, through its SSH connection."""

from __future__ import annotations

import contextlib
import http.client
from dataclasses import dataclass
from typing import Any

import paramiko

from relman.hosts.channel import ChannelSocket
from relman.hosts.connect import Connection

_FORBIDDEN = 1


@dataclass(frozen=True)
class ProbeResult:
    """Whether it answered as it should, and what was seen."""

    ok: bool
    detail: str


def probe_http(connection: Connection, address: str, port: int, path: str, timeout: float) -> ProbeResult:
    """GET `path`; any 2xx or 3xx is healthy. `timeout` in seconds. Raises Unreachable when the connection is gone."""
    where = f"http://{address}:{port}{path}"
    try:
        channel = connection.tcp(address, port, timeout)
    except (paramiko.SSHException, OSError) as error:
        return _refused(where, error)
    client: Any = http.client.HTTPConnection(address, port, timeout=timeout)
    client.sock = ChannelSocket(channel, process=False)
    try:
        client.request("GET", path, headers={"User-Agent": "relman", "Connection": "close"})
        answer = client.getresponse()
        answer.read(4096)
    except (OSError, EOFError, http.client.HTTPException, paramiko.SSHException) as error:
        return ProbeResult(False, f"GET {where}: {error or type(error).__name__}")
    finally:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            channel.close()
    return ProbeResult(200 <= answer.status < 400, f"GET {where}: {answer.status}")


def probe_tcp(connection: Connection, address: str, port: int, timeout: float) -> ProbeResult:
    """Connect; an accepted connection is healthy. `timeout` in seconds."""
    where = f"{address}:{port}"
    try:
        connection.tcp(address, port, timeout).close()
    except (paramiko.SSHException, OSError) as error:
        return _refused(where, error)
    return ProbeResult(True, f"{where} accepts connections")


def _refused(where: str, error: Exception) -> ProbeResult:
    if isinstance(error, paramiko.ChannelException) and error.code == _FORBIDDEN:
        return ProbeResult(
            False,
            f"{where}: sshd forbids the probe (AllowTcpForwarding no); allow it, or use deploy.health.image",
        )
    if isinstance(error, paramiko.ChannelException):
        return ProbeResult(False, f"{where}: nothing accepts connections yet")
    return ProbeResult(False, f"{where}: {error or type(error).__name__}")
