"""Fleets against real sshds that let few sign in at a time: behind a bastion, and many names of one server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relman.model.errors import Unreachable
from relman.model.host import Environment, Hop, Host, SshOptions
from relman.rollout.fleet import Fleet
from tests.lab.doors import Sshd, sshd
from tests.lab.process import until

WAIT = 30.0
"""Seconds for a living host: a hundred sshds share this machine's cores, whatever else it does."""


@contextmanager
def fleet(tmp_path: Path, *servers: Sshd, count: int, jumps: tuple[Hop, ...] = ()) -> Iterator[Fleet]:
    """`count` hosts, each an address of its own of the last of the servers, behind the `jumps`."""
    known = tmp_path / "known_hosts"
    known.write_text("".join(server.known_hosts for server in servers))
    hosts = tuple(Host(f"h{n}", servers[-1].hop(f"127.0.{n // 200 + 1}.{n % 200 + 1}"), jumps) for n in range(count))
    with Fleet(Environment("production", hosts, ssh=SshOptions((str(known),), WAIT)), "") as made:
        yield made


def signed_in(server: Sshd) -> int:
    """How many connections were made to it."""
    return server.log.count("Accepted publickey")


def test_a_hundred_hosts_behind_a_bastion_take_one_connection_to_it(tmp_path: Path) -> None:
    """A bastion that lets one sign in at a time and runs no session at all is connected once, and carries every host;
    it is let go of with the last host, and when it dies each host behind it is told so by its name."""
    with (
        sshd(tmp_path / "bastion", "MaxStartups 1:100:1", "MaxSessions 0") as bastion,
        sshd(tmp_path / "hosts", "MaxStartups 10:30:100") as hosts,
    ):
        with fleet(tmp_path, bastion, hosts, count=100, jumps=(bastion.hop(),)) as made:
            assert (len(made.sessions), dict(made.unreachable)) == (100, {})
            assert signed_in(bastion) == 1
            made.sessions["h3"].connection.close()
            assert made.sessions["h4"].connection.sftp().normalize("/") == "/"
        until(lambda: not bastion.sessions(), "the bastion's connection to end")
        with fleet(tmp_path, bastion, hosts, count=3, jumps=(bastion.hop(),)) as made:
            connections = [session.connection for session in made.sessions.values()]
            bastion.stop()
            until(lambda: not any(each.alive for each in connections), "the hosts to be lost")
            lost = made.each(lambda session: session.connection.unix("/run/nothing.sock"))
            assert {str(error) for error in lost.errors.values()} == {
                f"h{n}: the SSH connection to the jump host 127.0.0.1 broke" for n in range(3)
            }


def test_a_bastion_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    """One line for all hosts behind it."""
    with sshd(tmp_path / "hosts") as hosts:
        nobody = Hop("127.0.0.1", 1)
        with fleet(tmp_path, hosts, count=40, jumps=(nobody,)) as made, pytest.raises(Unreachable) as caught:
            made.require_all()
        (line,) = caught.value.details
        assert line.startswith("h0, h1, h2 and 37 more: jump host 127.0.0.1: 127.0.0.1:1 cannot be reached")


def test_many_names_of_one_server_sign_in_a_few_at_a_time(tmp_path: Path) -> None:
    """With sshd's own default forty connections to one address stand; one that takes hardly anybody is asked again."""
    with sshd(tmp_path / "one") as one:
        (tmp_path / "known_hosts").write_text(one.known_hosts)
        hosts = tuple(Host(f"h{n}", one.hop()) for n in range(40))
        ssh = SshOptions((str(tmp_path / "known_hosts"),), WAIT)
        with Fleet(Environment("production", hosts, ssh=ssh), "") as made:
            assert (len(made.sessions), dict(made.unreachable)) == (40, {})
        assert "beginning MaxStartups throttling" not in one.log
    with sshd(tmp_path / "narrow", "MaxStartups 1:100:1") as narrow, fleet(tmp_path, narrow, count=8) as made:
        assert (len(made.sessions), dict(made.unreachable)) == (8, {})


def test_an_sshd_that_always_hangs_up_is_said_to(tmp_path: Path) -> None:
    """The hosts end with an error of their own, and its hint names the setting."""
    with sshd(tmp_path / "closed", "MaxStartups 1:100:1") as closed:
        address = ("127.0.0.1", closed.port)
        with socket.create_connection(address), fleet(tmp_path, closed, count=2) as made:
            errors = made.unreachable
    assert {type(error) for error in errors.values()} == {Unreachable}
    text = "closes the connection before its SSH identification"
    assert all(text in error.what and "MaxStartups" in error.hint for error in errors.values())
