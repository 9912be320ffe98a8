"""Why nothing answers behind a host's socket: no Docker, no permission, or an engine that is down."""

from __future__ import annotations

import contextlib
import shlex

import paramiko

from relman.hosts.ssh.connection import Connection
from relman.model.errors import AccessDenied, RelmanError, Unreachable


class NoEngine(Unreachable):
    """Nothing answers behind the host's socket."""


def no_engine(connection: Connection, words: str) -> RelmanError:
    """The error, with the command that mends it; `words` are what `docker system dial-stdio` said there, if
    anything."""
    host, user = connection.host, connection.host.endpoint.user
    said = f" ({shlex.join((*host.docker_command, 'system', 'dial-stdio'))}: {words})" if words else ""
    usable: bool | None = True
    with contextlib.suppress(RelmanError, OSError, EOFError, paramiko.SSHException):
        usable = connection.sftp().may_write(host.docker_socket)
    if usable is False:
        return AccessDenied(
            f"{user} may not use the Docker engine's socket {host.docker_socket}",
            host=host.name,
            hint=f"on the host: sudo usermod -aG docker {shlex.quote(user)}; or see relman_docker_command",
        )
    there = "" if usable else ": there is no such file"
    hint = socket_hint(connection) if usable else "is Docker installed there? on the host: systemctl status docker"
    return NoEngine(f"no Docker engine answers at {host.docker_socket}{there}{said}", host=host.name, hint=hint)


def socket_hint(connection: Connection) -> str:
    """What to look at where an engine does not answer."""
    return f"on the host: systemctl status docker; may {connection.host.endpoint.user} use its socket?"
