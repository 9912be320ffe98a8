"""An sshd on this machine's loopback, for tests of many connections: it answers on every address of 127.0.0.0/8."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from relman.model.host import Hop
from tests.lab import pki
from tests.lab.process import end, run, spawn, until

_CONFIG = """\
ListenAddress 0.0.0.0:{port}
HostKey {dir}/host_key
AuthorizedKeysFile {dir}/user_key.pub
PidFile none
StrictModes no
PasswordAuthentication no
UsePAM no
Subsystem sftp internal-sftp
LogLevel VERBOSE
"""


@dataclass
class Sshd:
    """A running sshd: its port, its key as a line of known_hosts for every address, and its log."""

    dir: Path
    port: int
    pid: int

    @property
    def known_hosts(self) -> str:
        """The line that knows it."""
        kind, key = (self.dir / "host_key.pub").read_text().split()[:2]
        return f"[127.*]:{self.port} {kind} {key}\n"

    @property
    def log(self) -> str:
        """What it said so far."""
        return (self.dir / "log").read_text()

    def hop(self, address: str = "127.0.0.1") -> Hop:
        """The way to it, signing in as whoever runs the test."""
        return Hop(address, self.port, getpass.getuser(), (str(self.dir / "user_key"),))

    def stop(self) -> None:
        """End the sshd and every connection that it has."""
        for pid in (*self.sessions(), self.pid):
            end(pid)

    def sessions(self) -> list[int]:
        """The processes of its connections."""
        children = run("pgrep", "-P", str(self.pid), check=False).stdout
        return [int(pid) for pid in children.split()]


@contextmanager
def sshd(place: Path, *lines: str, port: int = 0) -> Iterator[Sshd]:
    """Run an sshd with its files in `place` and these lines of sshd_config(5)."""
    Path("/run/sshd").mkdir(exist_ok=True)
    place.mkdir(exist_ok=True)
    for name in ("host_key", "user_key"):
        pki.make_ssh_key(place / name, name)
    port = port or free_port()
    (place / "config").write_text("\n".join([*lines, _CONFIG.format(port=port, dir=place)]))
    argv: list[str | Path] = ["/usr/sbin/sshd", "-D", "-e", "-f", place / "config"]
    running = Sshd(place, port, spawn(argv, pidfile=place / "pid", log=place / "log"))
    try:
        until(lambda: "Server listening" in running.log, "sshd to listen")
        yield running
    finally:
        running.stop()


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
