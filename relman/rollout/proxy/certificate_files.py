"""The files of certificates that HAProxy loads, and the one that lists them: a line of its configuration has 64 words
at most (MAX_LINE_ARGS)."""

from __future__ import annotations

from collections.abc import Mapping

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import proxy as kept
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.proxy.haproxy_cfg import certificate_list


def put(connection: Connection, state: ProxyState, pems: Mapping[str, bytes]) -> None:
    """Write these texts, by the names of their files, and the list of all that the state has. Raises PreflightFailed or
    Unreachable."""
    for file, pem in pems.items():
        kept.write_certificate(connection, file, pem)
    if state.certificates:
        kept.write_certificate(connection, state.list_of_certificates, certificate_list(state).encode())


def tidy(connection: Connection, state: ProxyState) -> None:
    """Remove what the state has no more, pages too. Raises PreflightFailed or Unreachable."""
    files = [each.file for each in state.certificates]
    kept.keep_files(connection, [*files, state.list_of_certificates], state.page)
