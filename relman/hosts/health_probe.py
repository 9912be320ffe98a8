"""Health probes sent from the host, through its SSH connection."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from typing import Any

from relman.hosts.ssh.bounded import Bounds, ChannelSocket
from relman.hosts.ssh.connection import ChannelRefused, Connection
from relman.hosts.ssh.foreign_errors import said
from relman.local.http_check import GOOD, headers_of
from relman.model.errors import RelmanError, Unreachable
from relman.model.settings import Health

_OPTIONS = "AllowTcpForwarding, PermitOpen or the key's options"
_MOST = 1 << 20
_BODY = 4096


@dataclass(frozen=True)
class ProbeResult:
    """Whether the probe passed, and what was observed; `barred` means that it cannot be run, which says nothing about
    health."""

    ok: bool
    detail: str
    barred: bool = False


def probe_http(connection: Connection, address: str, health: Health, port: int, timeout: float) -> ProbeResult:
    """GET the path of `health`, with its Host and headers (relman.local.http_check).

    `timeout` in seconds bounds all of it, including the response's body. Raises Unreachable if the SSH connection is
    lost.
    """
    where, began = f"http://{_bracketed(address)}:{port}{health.path}", time.monotonic()
    try:
        channel = ChannelSocket(connection.tcp(address, port, timeout), process=False)
    except Unreachable as error:
        return _refused(connection, where, error)
    channel.bound(Bounds(max(0.0, began + timeout - time.monotonic()), _MOST))
    client: Any = http.client.HTTPConnection(address, port)
    client.sock = channel
    try:
        client.request("GET", health.path, headers=headers_of(health.host, health.headers))
        answer = client.getresponse()
        answer.read(_BODY)
    except RelmanError:
        raise
    except Exception as error:
        return _broken(connection, f"GET {where}", error)
    finally:
        client.close()
        channel.close()
    asked = f"GET {where}" + (f" (Host: {health.host})" if health.host else "")
    return ProbeResult(answer.status in GOOD, f"{asked}: {answer.status}")


def probe_tcp(connection: Connection, address: str, port: int, timeout: float) -> ProbeResult:
    """Connect; an accepted connection passes. `timeout` is in seconds. Raises Unreachable if the SSH connection is
    lost."""
    where = f"{_bracketed(address)}:{port}"
    try:
        ChannelSocket(connection.tcp(address, port, timeout), process=False).close()
    except Unreachable as error:
        return _refused(connection, where, error)
    return ProbeResult(True, f"{where} accepts connections")


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _refused(connection: Connection, where: str, error: Unreachable) -> ProbeResult:
    if not connection.alive:
        raise error
    if isinstance(error, ChannelRefused):
        if error.forbidden:
            return ProbeResult(False, f"its sshd forwards no connection to {where} ({_OPTIONS})", barred=True)
        return ProbeResult(False, f"{where}: nothing accepts connections yet")
    return ProbeResult(False, f"{where}: {error.what}")


def _broken(connection: Connection, where: str, error: Exception) -> ProbeResult:
    """The result for a broken or missing response. Raises Unreachable if the SSH connection is lost."""
    if not connection.alive:
        raise Unreachable(connection.gone, host=connection.host.name) from error
    return ProbeResult(False, f"{where}: {said(error)}")
