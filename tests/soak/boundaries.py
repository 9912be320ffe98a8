"""Run relman, and before the Nth change of a host let something happen: nothing but counting, or one of ACTIONS.

usage: python -m tests.soak.boundaries LAB ACTION N COUNT_FILE ARGUMENTS

A change is every call of the engine that changes something, every reload of a proxy, and every file that is written
beside, renamed or removed: lock, record, secrets and a proxy's configuration. How many there were is written to
COUNT_FILE in the end, and after it which of them were reloads. Answers are waited for only briefly, so that a host that
hangs costs little.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko

from relman.cli.main import run
from relman.cli.signals import Signals
from relman.docker.engine import Engine
from relman.hosts.haproxy import MasterCli
from relman.hosts.ssh.sftp import Sftp
from relman.hosts.state_dir import files
from relman.model.host import SshOptions
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.layout import Layout
from tests.lab.process import patience

ENGINE = ("pull", "keep", "create", "start", "stop", "set_restart", "remove", "remove_image")
SFTP = ("rename", "posix_rename", "remove", "rmdir")
PATIENCE = 3.0 * patience()  # seconds


def kill(_: LabHost) -> None:
    """relman is gone, in the middle of a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def cut(host: LabHost) -> None:
    """The host's cable is pulled."""
    host.cut()


def reboot(host: LabHost) -> None:
    """The host loses its power and comes back."""
    host.reboot()


ACTIONS: dict[str, Callable[[LabHost], None]] = {"count": lambda _: None, "kill": kill, "cut": cut, "reboot": reboot}


class Boundaries:
    """Counts the changes, and acts before one of them."""

    def __init__(self, lab: Lab, action: str, number: int) -> None:
        self._hosts = {host.address: host for host in lab.hosts}
        self._act, self._number = ACTIONS[action], number
        self._calls = itertools.count(1)
        self.count = 0
        self.reloads: list[int] = []

    def watch(self) -> None:
        """Stand before every change."""
        for name in ENGINE:
            self._wrap(Engine, name, lambda engine: engine._connection.transport)
        self._wrap(MasterCli, "reload", lambda cli: cli._connection.transport)
        for name in SFTP:
            self._wrap(paramiko.SFTPClient, name, lambda sftp: sftp.get_channel().get_transport())
        self._wrap(Sftp, "write_all", lambda sftp: sftp.get_channel().get_transport())
        for name in ("write_beside", "append"):
            self._wrap(files, name, lambda connection: connection.transport)

    def _wrap(self, owner: Any, name: str, transport_of: Callable[[Any], paramiko.Transport]) -> None:
        original = getattr(owner, name)

        def wrapped(first: Any, *arguments: Any, **named: Any) -> Any:
            number = next(self._calls)
            self.count = max(self.count, number)
            self.reloads += [number] if owner is MasterCli else []
            if number == self._number:
                self._act(self._hosts[transport_of(first).getpeername()[0]])
            return original(first, *arguments, **named)

        setattr(owner, name, wrapped)


def _impatient() -> None:
    original = SshOptions.__init__

    def init(self: SshOptions, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **{"connect_timeout": PATIENCE, "operation_timeout": PATIENCE} | named)

    SshOptions.__init__ = init  # type: ignore[method-assign]


if __name__ == "__main__":
    lab_number, action, count, count_file, *arguments = sys.argv[1:]
    boundaries = Boundaries(Lab(Layout.numbered(int(lab_number), os.environ)), action, int(count))
    boundaries.watch()
    _impatient()
    signals = Signals()
    signals.install()
    code = run(arguments, os.environ, signals)
    Path(count_file).write_text(" ".join(map(str, (boundaries.count, *boundaries.reloads))))
    sys.exit(code)
