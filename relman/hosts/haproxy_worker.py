"""A worker process of HAProxy that is kept until its counters have been read.

A worker begins with all counters at 0, and takes them with it when it ends. While a connection to its own command line
is open it does not end, even if nothing else is left to do; once it is closed, or lost with relman, the worker ends.

Specification: HAProxy's Management Guide, section 9.3, Unix Socket commands
(https://docs.haproxy.org/2.6/management.html#9.3).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping

import paramiko

from relman.hosts.ssh.bounded import Bounds, ChannelSocket
from relman.hosts.ssh.connection import ChannelRefused, Connection
from relman.model.errors import Unreachable
from relman.model.proxy import BOUNDS, Traffic

_MOST = 16 << 20
_SOON = 5.0
_PART = 1 << 16
_PROMPT = b"\n> "
_PID = re.compile(r"^Pid: (\d{1,10})$", re.MULTILINE)
_CONNECTIONS = re.compile(r"^CurrConns: (\d{1,10})$", re.MULTILINE)
_DAY = 86_400
_TCP = "tcp"
_BACKENDS = "2 -1"  # and none of their servers
_NO_BACKEND = "No such proxy"


class HeldWorker:
    """The worker that accepts connections now, by the socket at `path`, until it is closed."""

    def __init__(self, connection: Connection, path: str) -> None:
        """Raises ConnectionError if nobody answers there, Unreachable if the connection is lost."""
        self._connection = connection
        self._seconds = min(_SOON, connection.patience)
        try:
            self._channel = connection.unix(path)
        except ChannelRefused as refused:
            raise ConnectionError(str(refused)) from refused
        self._socket = ChannelSocket(self._channel, process=False)
        self._ask("prompt")
        self._ask(f"set timeout cli {_DAY}")
        found = _PID.search(self._ask("show info"))
        if not found:
            self.close()
            raise ConnectionError("it does not say which process it is")
        self.pid = int(found[1])

    def is_idle(self) -> bool:
        """Whether no connection of a user is left. Raises as `traffic`."""
        return connections_in(self._ask("show info")) == 0

    def traffic(self, backend: str, table: str) -> Traffic:
        """What it has counted of a backend, whose times are in a stick table. Raises ConnectionError if it does not
        answer, Unreachable if the connection is lost."""
        requests, failed = counts_in(self._ask(f"show stat {backend} {_BACKENDS}")).get(backend, (0, 0))
        return Traffic(requests, failed, times_in(self._ask(f"show table {table} key {backend}"), backend))

    def close(self) -> None:
        """Let it end."""
        self._channel.close()

    def _ask(self, line: str) -> str:
        try:
            self._socket.bound(Bounds(self._seconds, _MOST))
            self._socket.sendall(f"{line}\n".encode())
            answer = b""
            while not answer.endswith(_PROMPT):
                part = self._socket.recv(_PART)
                if not part:
                    raise ConnectionResetError(f"it ended before it answered: {line}")
                answer += part
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._channel.close()
            if not self._connection.alive:
                raise Unreachable(self._connection.gone, host=self._connection.host.name) from error
            raise ConnectionError(str(error)) from error
        return answer.removesuffix(_PROMPT).decode(errors="replace")


def connections_in(answer: str) -> int | None:
    """The connections of users in an answer to `show info`; None if it does not tell them."""
    found = _CONNECTIONS.search(answer)
    return int(found[1]) if found else None


def counts_in(answer: str) -> Mapping[str, tuple[int, int]]:
    """The requests to each backend, and how many of them failed, in an answer to `show stat`; of one that speaks TCP
    its connections. None where there is no such backend. Raises ConnectionError for another answer."""
    if answer.startswith(_NO_BACKEND):
        return {}
    if not answer.startswith("# "):
        raise ConnectionError("it does not tell its statistics")
    rows = csv.DictReader(answer.removeprefix("# ").splitlines())
    return {row.get("pxname") or "": _counted(row) for row in rows if row.get("svname") == "BACKEND"}


def _counted(row: Mapping[str, str]) -> tuple[int, int]:
    if row.get("mode") == _TCP:
        return _number(row, "stot"), _number(row, "econ")
    return _number(row, "req_tot"), _number(row, "hrsp_5xx") + _number(row, "srv_abrt")


def _number(row: Mapping[str, str], name: str) -> int:
    try:
        return int(row.get(name) or 0)
    except ValueError:
        raise ConnectionError(f"its {name} is no number") from None


def times_in(answer: str, backend: str) -> tuple[int, ...]:
    """The answers of a backend by the time until they began, in an answer to `show table`."""
    line = next((line for line in answer.splitlines() if f" key={backend} " in line), "")
    found = {int(at): int(count) for at, count in re.findall(r"\bgpc(\d{1,3})=(\d{1,19})", line)}
    return tuple(found.get(at, 0) for at in range(len(BOUNDS) + 1))
