"""What HAProxy's master says is understood, and what it does not say is no answer. Recorded from HAProxy 2.6.12."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from relman.hosts.haproxy import MasterCli, Processes, processes_in, sessions_in
from relman.hosts.haproxy_worker import counts_in, times_in
from relman.hosts.ssh.connection import PATIENCE, ChannelRefused
from relman.model.errors import Unreachable

HEAD = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
DRAINING = (
    f"{HEAD}5812            master          1 [failed: 0]   0d00h00m03s     2.6.12-1+deb12u4\n"
    "# workers\n6300            worker          0               0d00h00m00s     2.6.12-1+deb12u4\n"
    "# old workers\n5831            worker          1               0d00h00m03s     2.6.12-1+deb12u4\n# programs\n\n"
)
FAILED = (
    f"{HEAD}5989            master          1 [failed: 1]   0d00h00m04s     2.6.12-1+deb12u4\n"
    "# workers\n6006            worker          1               0d00h00m04s     2.6.12-1+deb12u4\n# programs\n\n"
)
FAILED_IN_3_2 = (
    f"{HEAD}8742            master          3 [failed: 1]   0d00h00m03s     3.2.26-1       \n"
    "# workers\n"
    "# old workers\n9182            worker          2               0d00h00m01s     3.2.26-1       \n"
    "8760            worker          3               0d00h00m03s     3.2.26-1       \n\n"
)
STAT = (
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot\n"
    "http,FRONTEND,,,1,1,9980,1\n"
    "production:shop,shop-1,0,0,2,1,,1\n"
    "production:shop,shop-2,0,0,0,1,,1\n"
    "production:shop,BACKEND,0,0,2,1,998,1\n"
    "production:api,api-1,0,0,1,1,,1\n\n"
)
GONE = "Can't find the target PID matching the prefix '@!'\n"


class Channel:
    """A channel that answers, or breaks off with an error."""

    def __init__(self, parts: list[bytes | Exception]) -> None:
        self.parts, self.sent = parts, b""

    def send(self, data: bytes) -> int:
        """Remember it."""
        self.sent += data
        return len(data)

    def recv(self, _size: int) -> bytes:
        """The next part; nothing at the end."""
        part = self.parts.pop(0) if self.parts else b""
        if isinstance(part, Exception):
            raise part
        return part

    def settimeout(self, _seconds: float) -> None:
        """It is never late."""

    shutdown_write = close = lambda _: None


def master(*parts: bytes | Exception, alive: bool = True, refusal: Exception | None = None) -> MasterCli:
    """A master that gives this answer."""

    def unix(_path: str) -> Channel:
        if refusal:
            raise refusal
        return Channel(list(parts))

    connection = SimpleNamespace(unix=unix, patience=1.0, alive=alive, gone="gone", host=SimpleNamespace(name="h1"))
    return MasterCli(cast(Any, connection), "/run/master.sock")


def test_workers_are_told_from_old_ones() -> None:
    """And from the master; a failed reload leaves the worker that was there."""
    assert processes_in(DRAINING) == Processes(frozenset({6300}), frozenset({5831}), 0, 1)
    assert processes_in(FAILED) == Processes(frozenset({6006}), failed=1, reloads=1)
    assert processes_in(FAILED_IN_3_2) == Processes(frozenset({9182}), frozenset({8760}), 1, 3)


@pytest.mark.parametrize("cut", [0, 10, 100, 150])
def test_half_an_answer_is_none(cut: int) -> None:
    """While it reloads, the master breaks answers off."""
    assert processes_in(DRAINING[:cut]) is None


class Silent(Channel):
    """A channel on which no answer comes."""

    def __init__(self) -> None:
        super().__init__([])

    def settimeout(self, seconds: float) -> None:
        """It is waited for so long."""
        assert seconds < PATIENCE, "there would be no time to ask again"

    def recv(self, _size: int) -> bytes:
        """Nothing."""
        raise TimeoutError


def test_a_worker_that_just_began_can_be_asked_again() -> None:
    """HAProxy 3.2 may not answer the first question to it, ever: it is not waited for as long as a host is."""
    connection = SimpleNamespace(unix=lambda _: Silent(), patience=PATIENCE, alive=True)
    assert MasterCli(cast(Any, connection), "/run/master.sock").description() == ""


def test_sessions_are_those_of_the_servers_of_one_backend() -> None:
    """Not of its frontend, not its sum, not of others; and a worker that has ended has none."""
    assert sessions_in(STAT, "production:shop") == {"shop-1": 2, "shop-2": 0}
    assert sessions_in(GONE, "production:shop") == {}
    assert [sessions_in(STAT[:cut], "production:shop") for cut in (0, 10, len(STAT) - 1)] == [None] * 3


def test_an_answer_comes_in_parts() -> None:
    """However it is cut."""
    assert master(*(bytes([byte]) for byte in DRAINING.encode())).processes() == processes_in(DRAINING)


def test_no_master_is_no_answer_and_a_lost_connection_an_error() -> None:
    """Nothing listens, or the connection is reset in a reload: ask again; a host that is gone is said."""
    refused = ChannelRefused("sshd refuses it (Connect failed)")
    assert master(refusal=refused).processes() is None
    assert master(b"#<PID>", OSError("reset")).processes() is None
    assert master(b"").description() == ""
    with pytest.raises(Unreachable, match="gone"):
        master(OSError("reset"), alive=False).processes()
    with pytest.raises(ChannelRefused):
        master(refusal=ChannelRefused("prohibited", forbidden=True)).reload()


def test_it_says_what_it_has_loaded() -> None:
    """In the description of its worker."""
    assert (
        master(b"Name: HAProxy\ndescription: relman sha256:0123\nStopping: 0\n").description() == "relman sha256:0123"
    )


def test_requests_are_those_of_backends_and_what_failed_of_them() -> None:
    """Answers of 5xx and those that were broken off; of TCP the connections; nothing where there is no such backend."""
    stat = (
        "# pxname,svname,stot,econ,hrsp_5xx,srv_abrt,req_tot,mode\n"
        "production:shop,shop-1,9,9,9,9,,http\n"
        "production:shop,BACKEND,90,1,3,2,100,http\n"
        "production:queue,BACKEND,7,2,,,,tcp\n\n"
    )
    assert counts_in(stat) == {"production:shop": (100, 5), "production:queue": (7, 2)}
    assert counts_in("No such proxy.\n\n") == {}
    for lie in ("", "Permission denied\n", stat.replace(",100,", ",many,"), stat.replace(",100,", f",{'9' * 5000},")):
        with pytest.raises(ConnectionError):
            counts_in(lie)


def test_times_are_those_of_one_backend() -> None:
    """In the order of their bounds; none where nothing was answered."""
    table = "# table: observed/times, type: string\n0x1: key=production:shop use=0 exp=0 gpc0=3 gpc2=4 gpc99=9\n\n"
    assert times_in(table, "production:shop")[:4] == (3, 0, 4, 0)
    assert sum(times_in(table, "production:sho")) == 0
