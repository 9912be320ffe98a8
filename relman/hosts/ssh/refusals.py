"""Translate the exceptions of fabric and paramiko while a connection is opened to the model's errors."""

from __future__ import annotations

import contextlib
import shlex
import socket
import time
from collections.abc import Iterator

import paramiko

from relman.hosts.ssh.foreign_errors import late, said
from relman.hosts.ssh.keys.known_hosts import BadKey, ChangedKey, KnownHosts, RevokedKey, UntrustedCertificate
from relman.hosts.ssh.transport import HandshakeLate, NothingInCommon
from relman.model.errors import HostKeyRejected, RelmanError, Unreachable, UsageError
from relman.model.host import Hop

_FORBIDDEN = 1  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, section 5.1)


@contextlib.contextmanager
def explained(hop: Hop, known: KnownHosts, timeout: float, via: Hop | None = None) -> Iterator[None]:
    """Translate what is raised while `hop` is connected, through the jump host `via` if there is one.

    Raises HostKeyRejected, AccessDenied, UsageError or Unreachable.
    """
    begin = time.monotonic()
    try:
        yield
    except RelmanError:
        raise
    except BadKey as error:
        raise _of_the_host(error, hop, known.first_file, via) from error
    except Exception as error:
        waited = time.monotonic() - begin
        told = _of_the_server(error, hop, timeout) or _of_address(error, hop) or (via and _of_the_jump(error, hop, via))
        raise told or _of_the_way(error, hop, timeout, waited) from error


def _of_the_jump(error: Exception, hop: Hop, via: Hop) -> RelmanError | None:
    if not isinstance(error, paramiko.ChannelException):
        return None
    if error.code == _FORBIDDEN:
        return Unreachable(
            f"the jump host {via.address} forbids the way to {hop.address}:{hop.port}",
            hint=f"let the sshd_config of {via.address} allow it: AllowTcpForwarding, PermitOpen, the key's options",
        )
    return Unreachable(
        f"the jump host {via.address} cannot reach {hop.address}:{hop.port}: {error.text}",
        hint=f"is it up, and reachable from {via.address}?",
    )


def _of_the_server(error: Exception, hop: Hop, timeout: float) -> RelmanError | None:
    if isinstance(error, HandshakeLate) and not error.spoke:
        return Unreachable(
            f"{hop.address}:{hop.port} takes connections, but its SSH server did not answer within {timeout:g} s",
            hint="is it sshd that listens there, and is the host overloaded?",
        )
    if not isinstance(error, NothingInCommon):
        return None
    return Unreachable(
        f"{hop.address}:{hop.port} offers no {error.kind} algorithm that relman takes: {', '.join(error.offered)}",
        hint=f"let its sshd_config offer one of {', '.join(error.taken)}",
    )


def _of_the_host(error: BadKey, hop: Hop, file: str, via: Hop | None) -> HostKeyRejected:
    key = f"the host key of {error.name}"
    if isinstance(error, RevokedKey):
        hint = "a stolen key may be in use: give the host a new one, and put that into known_hosts"
        return HostKeyRejected(f"{key} is revoked ({error.fingerprint})", hint=hint)
    if isinstance(error, ChangedKey):
        return HostKeyRejected(
            f"{key} is not the known one: it shows {error.fingerprint}, known is {', '.join(error.known)}",
            hint=f"someone may be in between, or the host was reinstalled; compare, then correct {file}",
        )
    if isinstance(error, UntrustedCertificate):
        hint = "its authority is in known_hosts: let it sign a certificate for this host and time"
        return HostKeyRejected(f"the host certificate of {error.name} is invalid: {error.reason}", hint=hint)
    compare = f"{key} is not known ({error.fingerprint})"
    if hop.host_key_alias:
        return HostKeyRejected(compare, hint=f"compare it on the host itself, then add it to {file} as {error.name}")
    there = f"ssh -p {via.port} {shlex.quote(f'{via.user}@{via.address}')} " if via else ""
    scan = f"{there}ssh-keyscan -p {hop.port} {shlex.quote(hop.address)} >> {_typed(file)}"
    return HostKeyRejected(compare, hint=f"compare it on the host itself, then: {scan}")


def _typed(file: str) -> str:
    """The path in shell syntax, with ~ still expanding."""
    return f"~/{shlex.quote(file[2:])}" if file.startswith("~/") else shlex.quote(file)


def _of_address(error: Exception, hop: Hop) -> RelmanError | None:
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError) and _has_port(hop.address):
        hint = "ansible_host takes a name or an address alone; the port is ansible_port"
        return UsageError(f"{hop.address!r} is not a host's address", hint=hint)
    return None


def _has_port(address: str) -> bool:
    return "@" in address or address.count(":") == 1


def _of_the_way(error: Exception, hop: Hop, timeout: float, waited: float) -> RelmanError:
    """Errors of the network. A server that freezes during a handshake raises as if it had closed the connection, only
    later."""
    if isinstance(error, socket.gaierror | UnicodeError):
        hint = "check ansible_host and the spelling"
        return Unreachable(f"the address {hop.address} cannot be found", hint=hint)
    if late(error) or waited >= timeout:
        text = f"{hop.address}:{hop.port} did not answer within {timeout:g} s"
        return Unreachable(text, hint="is the host up, and reachable from here?")
    return Unreachable(f"{hop.address}:{hop.port} cannot be reached: {said(error)}")
