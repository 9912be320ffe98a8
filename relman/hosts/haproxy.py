"""The command line of HAProxy's master process, through its Unix socket on a host.

Specification: HAProxy's Management Guide, section 9.4, Master CLI
(https://docs.haproxy.org/2.6/management.html#9.4). A command is one line; the answer ends with the connection.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import paramiko

from relman.hosts.haproxy_worker import connections_in, counts_in
from relman.hosts.ssh.bounded import Bounds, ChannelSocket
from relman.hosts.ssh.connection import ChannelRefused, Connection
from relman.model.errors import Unreachable

_MOST = 16 << 20
_PART = 1 << 16
_SOON = 3.0
_MASTER = re.compile(r"\d+ +master +(?P<reloads>\d+) +\[failed: (?P<failed>\d+)\]")
_WORKER = re.compile(r"(?P<pid>\d+) +worker +(?P<reloads>\d+)")
_LOADED = re.compile(r"Success=([01])")
_ONLY_SERVERS = "-1 4 -1"  # of any proxy, of this type, with any number
_NO_WORKER = "Can't find the target"
_VERSION = re.compile(r"^Version: (.*)", re.MULTILINE)
_DESCRIPTION = re.compile(r"description: (.*)")


@dataclass(frozen=True)
class Processes:
    """The process ids of the `workers` that accept connections, and of `old` ones that only end theirs; `failed` counts
    the reloads that failed since the last good one, but not reliably from HAProxy 3.1 on; `reloads` all."""

    workers: frozenset[int]
    old: frozenset[int] = frozenset()
    failed: int = 0
    reloads: int = 0


class MasterCli:
    """The master process that listens on the socket at `path`."""

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._path = path

    def processes(self, seconds: float = math.inf) -> Processes | None:
        """Its processes; None if it does not answer within so long, as in the moment of a reload. Raises Unreachable if
        the connection is lost."""
        return processes_in(self._ask("show proc", seconds))

    def reload(self) -> bool | None:
        """Let it read its file again. Returns whether it loaded it; None if it does not say so, as before HAProxy 2.7:
        see `processes`. Raises Unreachable if the connection is lost."""
        said = _LOADED.match(self._ask("reload"))
        return said[1] == "1" if said else None

    def description(self) -> str:
        """What the configuration that is loaded says of itself; "" if there is no answer soon: from HAProxy 3.1 on a
        worker that has just begun may never give it, and has to be asked again. Raises Unreachable if the connection is
        lost."""
        found = _DESCRIPTION.search(self._ask("@1 show info", _SOON))
        return found[1].strip() if found else ""

    def version(self) -> str:
        """HAProxy's version, such as 3.2.26-1; "" if there is no answer soon. Raises Unreachable if the connection is
        lost."""
        found = _VERSION.search(self._ask("@1 show info", _SOON))
        return found[1].strip() if found else ""

    def sessions(self, worker: int, backend: str) -> Mapping[str, int] | None:
        """How many sessions each server of a backend has in this worker; none if it has ended, and None if there is no
        answer. Raises Unreachable if the connection is lost."""
        return sessions_in(self._ask(f"@!{worker:d} show stat {_ONLY_SERVERS}"), backend)

    def connections(self, worker: int) -> int:
        """How many connections of users a worker has; 0 if it has ended or does not answer. Raises Unreachable if the
        connection is lost."""
        return connections_in(self._ask(f"@!{worker:d} show info")) or 0

    def counts(self, backend: str = "") -> Mapping[str, tuple[int, int]]:
        """The requests to a backend, by its name, or to each, and how many of them failed, since the configuration was
        loaded; none if there is no answer. Raises Unreachable if the connection is lost."""
        answer = self._ask(f"@1 show stat {backend} 2 -1" if backend else "@1 show stat").lstrip("\n")
        try:
            return counts_in(answer)
        except ConnectionError:
            return {}

    def _ask(self, line: str, seconds: float = math.inf) -> str:
        """The whole answer; "" if it is refused or broken off: then there is no master, or it begins anew."""
        connection = self._connection
        try:
            channel = connection.unix(self._path)
        except ChannelRefused as refused:
            if refused.forbidden:
                raise
            return ""
        try:
            return _answer(channel, line, min(seconds, connection.patience))
        except (OSError, EOFError, paramiko.SSHException) as error:
            if not connection.alive:
                raise Unreachable(connection.gone, host=connection.host.name) from error
            return ""
        finally:
            channel.close()


def _answer(channel: paramiko.Channel, line: str, seconds: float) -> str:
    bounded = ChannelSocket(channel, process=False)
    bounded.bound(Bounds(seconds, _MOST))
    bounded.sendall(f"{line}\n".encode())
    channel.shutdown_write()
    return b"".join(iter(lambda: bounded.recv(_PART), b"")).decode(errors="replace")


def processes_in(answer: str) -> Processes | None:
    """The processes in an answer to `show proc`; None if it is not a whole one."""
    master = _MASTER.search(answer)
    head, _, old = answer.partition("# old workers")
    if not master or "# workers" not in head:
        return None
    workers, others = _reloads(head), _reloads(old)
    if not workers and others:
        # From 3.1 on the worker that stays after a reload that failed is among the old ones.
        newest = min(others.values())
        workers = {pid: reloads for pid, reloads in others.items() if reloads == newest}
    return Processes(
        frozenset(workers), frozenset(others.keys() - workers), int(master["failed"]), int(master["reloads"])
    )


def _reloads(text: str) -> dict[int, int]:
    """How many reloads each worker in these lines has seen, by its process id."""
    rows = map(_WORKER.match, text.splitlines())
    return {int(found["pid"]): int(found["reloads"]) for found in rows if found}


def sessions_in(answer: str, backend: str) -> Mapping[str, int] | None:
    """The current sessions of each server of a backend in an answer to `show stat`; None if it is not a whole one."""
    if answer.startswith(_NO_WORKER):
        return {}
    if not answer.startswith("# ") or not answer.endswith("\n\n"):
        return None
    rows = csv.DictReader(answer.removeprefix("# ").splitlines())
    return {
        row["svname"]: int(row["scur"] or 0)
        for row in rows
        if row.get("pxname") == backend and row.get("svname") not in (None, "FRONTEND", "BACKEND") and row.get("scur")
    }
