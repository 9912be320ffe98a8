"""Be killed right after a change was sent to a host. usage: python -m tests.e2e.late HOST PATH

Says "ready" once connected; then, after a line on stdin, asks for the directory PATH and does not wait for the answer.
"""

from __future__ import annotations

import os
import signal
import sys

import paramiko
from paramiko.sftp import CMD_MKDIR

from relman.config.inventory.load import load_inventory
from relman.hosts.ssh.connection import connect

if __name__ == "__main__":
    name, path = sys.argv[1:]
    environment = load_inventory([os.environ["RELMAN_INVENTORY"]]).environment(
        "production",
        ssh_config=os.environ["RELMAN_SSH_CONFIG"],
        known_hosts=[os.environ["RELMAN_KNOWN_HOSTS"]],
    )
    host = next(h for h in environment.hosts if h.name == name)
    sftp = connect(host, environment.ssh).sftp()
    print("ready", flush=True)
    sys.stdin.readline()
    sftp._async_request(type(None), CMD_MKDIR, path.encode(), paramiko.SFTPAttributes())  # type: ignore[attr-defined]
    os.kill(os.getpid(), signal.SIGKILL)
