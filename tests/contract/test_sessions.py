"""Sessions of one connection to a real sshd."""

from __future__ import annotations

from pathlib import Path

import pytest

from relman.hosts.ssh.connection import connect
from relman.model.errors import Unreachable
from relman.model.host import Host, SshOptions
from tests.lab.doors import sshd

STUBBORN = ("sh", "-c", "trap '' HUP TERM PIPE; echo begun; sleep 1")


def test_a_session_whose_process_has_not_ended_yet_is_waited_for(tmp_path: Path) -> None:
    """Where sshd allows one session, the next command runs once the process of the closed one has ended; where none is
    given up, the error names MaxSessions."""
    with sshd(tmp_path / "sshd", "MaxSessions 1") as server:
        (tmp_path / "known_hosts").write_text(server.known_hosts)
        connection = connect(Host("h1", server.hop()), SshOptions((str(tmp_path / "known_hosts"),)))
        try:
            first = connection.command(STUBBORN)
            assert first.recv(5) == b"begun"
            first.close()
            second = connection.command(("sh", "-c", "echo next; exec sleep 10"))
            assert second.recv(4) == b"next"
            with pytest.raises(Unreachable, match="refuses one more session") as refused:
                connection.command(("true",))
            assert "MaxSessions" in refused.value.hint
        finally:
            connection.close()
