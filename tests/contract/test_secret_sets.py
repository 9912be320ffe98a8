"""Sets of secrets and of files through a real OpenSSH: their modes, whatever the host's umask, and a second writing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import location
from relman.hosts.state_dir.file_sets import FILES, SECRETS, Content, FileSets
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


@pytest.mark.parametrize(
    ("kind", "mode", "team", "wanted"),
    [(SECRETS, "0o444", False, "755"), (SECRETS, "0o444", True, "2775"), (FILES, "0o644", False, "755")],
)
def test_a_set_is_written_read_and_removed(kind: Content, mode: str, team: bool, wanted: str) -> None:
    """Secrets of 0444 and files of 0644 in directories of 0755 (2775 where a team shares it), byte for byte; written
    again after a connection was lost it is the same; a set that is removed leaves nothing."""
    top = Path("/var/lib") / f"relman-secrets-{os.getpid()}"
    top.mkdir(mode=0o700)
    if team:
        top.chmod(0o2770)
    try:
        with host(Path(str(top) + "-sshd"), str(top)) as connection:
            place = location.make(connection, *WHERE)
            sets = FileSets(connection, *WHERE, kind)
            for _ in range(2):
                sets.write("d1", VALUES)
            own = Path(place.path) / kind.folder
            assert {oct(p.stat().st_mode & 0o7777)[2:] for p in (own, own / "d1")} == {wanted}
            assert {p.name: (oct(p.stat().st_mode & 0o7777), p.read_bytes()) for p in (own / "d1").iterdir()} == {
                name: (mode, value) for name, value in VALUES.items()
            }
            assert sets.read("d1", "large") == VALUES["large"]
            assert sets.missing("d1", ("key", "other")) == ("other",)
            assert sets.all() == ("d1",)
            assert location.place(connection, *WHERE, fresh=True).sets == (kind.folder,)
            sets.remove("d1")
            sets.remove_all()
            assert not own.exists()
            own.symlink_to(top)
            with pytest.raises(PreflightFailed, match=f"{kind.folder} is a link"):
                location.place(connection, *WHERE, fresh=True)
    finally:
        shutil.rmtree(top)
        shutil.rmtree(str(top) + "-sshd", ignore_errors=True)
