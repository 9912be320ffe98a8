"""Sets of secrets through a real OpenSSH: their modes, whatever the host's umask, and a write that is done again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import location, secrets
from relman.model.errors import PreflightFailed
from relman.model.host import Environment, Host, SshOptions
from relman.rollout.fleet import Fleet
from tests.lab.doors import sshd

WHERE = ("production", "shop")
VALUES = {"key": b"\0\xff\n", "large": os.urandom(1 << 20)}


@contextmanager
def host(tmp_path: Path, state: str) -> Iterator[Connection]:
    """A connection to a host with this umask and state directory."""
    tmp_path.mkdir()
    with sshd(tmp_path / "sshd", "ForceCommand internal-sftp -u 0077") as server:
        known = tmp_path / "known_hosts"
        known.write_text(server.known_hosts)
        one = Host("h1", server.hop(), state_dir=state)
        with Fleet(Environment("production", (one,), ssh=SshOptions((str(known),))), "shop") as fleet:
            yield fleet.sessions["h1"].connection


@pytest.mark.parametrize(("team", "wanted"), [(False, "755"), (True, "2775")])
def test_a_set_is_written_read_and_removed(team: bool, wanted: str) -> None:
    """Files of 0444 in directories of 0755 (2775 where a team shares the state directory), byte for byte; written again
    after a connection was lost it is the same; a set that is removed leaves nothing."""
    top = Path("/var/lib") / f"relman-secrets-{os.getpid()}"
    top.mkdir(mode=0o700)
    if team:
        top.chmod(0o2770)
    try:
        with host(Path(str(top) + "-sshd"), str(top)) as connection:
            place = location.make(connection, *WHERE)
            for _ in range(2):
                secrets.write(connection, *WHERE, "d1", VALUES)
            own = Path(place.path) / "secrets"
            assert {oct(p.stat().st_mode & 0o7777)[2:] for p in (own, own / "d1")} == {wanted}
            assert {p.name: (oct(p.stat().st_mode & 0o7777), p.read_bytes()) for p in (own / "d1").iterdir()} == {
                name: ("0o444", value) for name, value in VALUES.items()
            }
            assert secrets.read(connection, *WHERE, "d1", "large") == VALUES["large"]
            assert secrets.missing(connection, *WHERE, "d1", ("key", "other")) == ("other",)
            assert secrets.sets(connection, *WHERE) == ("d1",)
            assert location.place(connection, *WHERE, fresh=True).secrets
            secrets.remove(connection, *WHERE, "d1")
            secrets.remove_all(connection, *WHERE)
            assert not own.exists()
            own.symlink_to(top)
            with pytest.raises(PreflightFailed, match="secrets is a link"):
                location.place(connection, *WHERE, fresh=True)
    finally:
        shutil.rmtree(top)
        shutil.rmtree(str(top) + "-sshd", ignore_errors=True)
