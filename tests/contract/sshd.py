"""A real sshd on the loopback with a configuration of its own, real keys, certificates and agents."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.process import until

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin") or ""


def keygen(*arguments: str | Path) -> None:
    """Run ssh-keygen."""
    subprocess.run(
        ["ssh-keygen", "-q", *map(str, arguments)], check=True, capture_output=True, stdin=subprocess.DEVNULL
    )


def make_key(file: Path, kind: str = "ed25519", *, passphrase: str = "") -> Path:
    """A new key; its public half is beside it."""
    keygen("-t", kind, "-N", passphrase, "-C", file.name, "-f", file)
    return file


def public(file: Path) -> str:
    """The public half of a key."""
    return Path(f"{file}.pub").read_text()


@dataclass
class Sshd:
    """A server: its directory has `host` (a key), `authorized` and `log`."""

    directory: Path
    port: int

    @property
    def log(self) -> str:
        """What it says of itself."""
        return (self.directory / "log").read_text()

    def allow(self, *keys: Path) -> None:
        """Let these keys in, and no others."""
        (self.directory / "authorized").write_text("".join(map(public, keys)))


@contextlib.contextmanager
def sshd(directory: Path, *lines: str) -> Iterator[Sshd]:
    """The server while it runs; `lines` of sshd_config(5) come before its own."""
    directory.mkdir(exist_ok=True)
    if not (directory / "host").exists():
        make_key(directory / "host")
    (directory / "authorized").touch()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = [
        f"ListenAddress 127.0.0.1:{port}", f"HostKey {directory}/host", f"AuthorizedKeysFile {directory}/authorized",
        "StrictModes no", "PermitRootLogin yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
        "PidFile none", "UsePAM no", "LogLevel VERBOSE",
    ]  # fmt: skip
    if not any(line.startswith("Subsystem") for line in lines):
        own.append("Subsystem sftp internal-sftp")
    (directory / "sshd_config").write_text("\n".join([*lines, *own, ""]))
    Path("/run/sshd").mkdir(exist_ok=True)
    with (directory / "log").open("w") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", directory / "sshd_config"], stderr=log)
        try:
            until(lambda: _listens(port), f"sshd at port {port}")
            yield Sshd(directory, port)
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def agent(directory: Path, *keys: Path) -> Iterator[str]:
    """The socket of a real ssh-agent that holds these keys, with the certificates beside them."""
    path = directory / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        until(path.exists, "the agent's socket")
        for key in keys:
            add(path, key)
        yield str(path)
    finally:
        process.terminate()
        process.wait(10)


def add(path: Path | str, key: Path, passphrase: str = "") -> None:
    """Put a key into the agent at `path`."""
    asked = Path(key.parent / "askpass")
    asked.write_text(f"#!/bin/sh\necho '{passphrase}'\n")
    asked.chmod(0o700)
    env = {**os.environ, "SSH_AUTH_SOCK": str(path), "SSH_ASKPASS": str(asked), "SSH_ASKPASS_REQUIRE": "force"}
    subprocess.run(["ssh-add", "-q", key], check=True, capture_output=True, env=env, stdin=subprocess.DEVNULL)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return not sock.connect_ex(("127.0.0.1", port))
