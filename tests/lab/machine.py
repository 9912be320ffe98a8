"""One lab machine: a Debian of its own in namespaces, with its own disk, sshd, Docker Engine and address."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import docker

from tests.lab import network, pki
from tests.lab.layout import Layout
from tests.lab.process import detach, end, end_file, living, run, until
from tests.lab.registry import Registry, trust

BOOT = Path(__file__).with_name("boot.sh")
SSHD_CONFIG = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
Subsystem sftp internal-sftp
"""
# An engine, containerd and runc start new processes of themselves for each container: without collecting garbage until
# there is that much of it, starting and stopping one takes an eighth less CPU, building an image a third.
ENGINE = """\
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:$PATH GOGC=off GOMEMLIMIT=256MiB
exec dockerd >>/var/log/dockerd.log 2>&1
"""


class Machine:
    """Machine `name` with address number `octet`; its files are under `dir`, and nowhere else."""

    def __init__(self, layout: Layout, name: str, octet: int) -> None:
        self.name = name
        self.address = layout.address(octet)
        self.dir = layout.machine(name)
        self._layout = layout
        self._octet = octet
        self._seed = self.dir / "seed"
        self._pidfile = self.dir / "pid"
        self._key = self._seed / "etc/ssh/ssh_host_ed25519_key"

    # What it is made of

    def provision(self, user_key: str, registry: Registry) -> None:
        """Write what its disk starts with: keys, the configuration of sshd and engine, the registry's CA."""
        etc = self._seed / "etc"
        pki.make_ssh_key(self._key, self.name)
        (etc / "ssh/sshd_config").write_text(SSHD_CONFIG)
        # Without its own name sudo would ask a name server that no lab machine reaches.
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        trust(registry.ca, registry.address, etc / "docker/certs.d")
        # Nothing of the machine's own /etc/docker shows through: its key.json would give all engines one ID.
        os.setxattr(etc / "docker", "trusted.overlay.opaque", b"y")
        self._configure_engine()
        (etc / "lab-engine").write_text(ENGINE)
        (etc / "lab-engine").chmod(0o755)
        (self._seed / "root/.ssh").mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._seed / "root").chmod(0o700)
        (self._seed / "root/.ssh/authorized_keys").write_text(user_key + "\n")

    def _configure_engine(self) -> None:
        hosts = ["unix:///run/docker.sock", "unix:///run/lab/docker.sock"]
        settings: dict[str, object] = {
            "hosts": hosts,
            "cgroup-parent": f"/{self._layout.cgroup}/{self.name}",
            "max-download-attempts": 1,  # after the first; Docker's default waits 75 s for a registry that is off
        }
        if self.modern:
            settings["features"] = {"containerd-snapshotter": True}
        (self._seed / "etc/docker/daemon.json").write_text(json.dumps(settings))

    @property
    def modern(self) -> bool:
        """Whether it boots with Debian trixie's engine and the containerd image store, not with the machine's own."""
        return (self.dir / "engine").exists()

    @property
    def host_key(self) -> str:
        """The public half of the key that its sshd shows, as known_hosts has it."""
        return " ".join(self._key.with_suffix(".pub").read_text().split()[:2])

    @property
    def prefix(self) -> list[str]:
        """What to put before a command so that it runs in the machine's network, on the real file system."""
        return ["nsenter", f"--net={self.network}", "--"]

    @property
    def network(self) -> Path:
        """Its network namespace, as a file."""
        return network.NAMESPACES / self._layout.netns(self.name)

    # Power

    @property
    def pid(self) -> int | None:
        """The process id of its first process as seen from outside; None when it is off."""
        return living(self._pidfile)

    def start(self) -> None:
        """Boot it unless it is on; returns once sshd and engine answer."""
        self.power_on()
        self.wait()

    def power_on(self) -> None:
        """Begin to boot it, unless it is on already."""
        if self.pid is not None:
            return
        self.stop()
        network.attach(self._layout, self.name, self._octet)
        inside: list[str | Path] = [
            "unshare",
            "-mpuif",
            "--propagation",
            "private",
            BOOT,
            self.name,
            self.dir,
        ]
        netns = network.NAMESPACES / self._layout.netns(self.name)
        detach(["nsenter", f"--net={netns}", *inside], self.dir / "console.log")
        until(lambda: self.pid, f"{self.name} to boot; see {self.dir}/console.log")

    def wait(self) -> None:
        """Wait until sshd and engine answer; raise LabError when they do not."""
        until(self.ssh_answers, f"sshd on {self.name}; see {self.dir}/console.log")
        until(self.engine_answers, f"the engine on {self.name}; see {self.dir}/disk/var/log/dockerd.log", 60)

    def kill(self) -> None:
        """End all its processes at once; its address stays and refuses connections."""
        end_file(self._pidfile)

    def stop(self) -> None:
        """Switch it off: processes and network are gone at once; its disk stays."""
        self.kill()
        network.detach(self._layout, self.name)

    def reboot(self) -> None:
        """Cut its power and boot it again: same disk, same keys."""
        self.stop()
        self.start()

    def repair(self) -> None:
        """Bring back whatever is not there: the machine, its cable, sshd or the engine."""
        if self.pid is None or not (network.LINKS / self._layout.link(self.name)).exists():
            return self.reboot()
        self.mend()
        if not self.listens(22):
            self.run(["/usr/sbin/sshd"], check=False)
        if not self.processes("dockerd"):
            self.start_engine()
        return self.wait()

    def remove(self) -> None:
        """Switch it off and delete its disk and everything else of it."""
        self.stop()
        if self.dir.exists():
            shutil.rmtree(self.dir)

    # Network

    def cut(self) -> None:
        """Pull its network cable: nothing is refused, everything hangs."""
        run("ip", "link", "set", self._layout.link(self.name), "down")

    def mend(self) -> None:
        """Plug the cable in again."""
        run("ip", "link", "set", self._layout.link(self.name), "up")

    def listens(self, port: int) -> bool:
        """Whether connections to `port` are accepted within a second."""
        try:
            socket.create_connection((self.address, port), timeout=1).close()
        except OSError:
            return False
        return True

    def ssh_answers(self) -> bool:
        """Whether its sshd greets within a second."""
        try:
            with socket.create_connection((self.address, 22), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    # Processes and engine

    def run(
        self, argv: Sequence[str], *, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `argv` as root inside the machine; raise LabError if it fails, unless not `check`."""
        return run(*self._inside(), *argv, stdin=stdin, check=check)

    def _inside(self) -> list[str]:
        return ["nsenter", "-t", str(self.pid or 0), "-m", "-u", "-i", "-n", "-p", "--"]

    def path(self, inside: str) -> Path:
        """Return where the running machine's file `inside` is found from outside."""
        return Path(f"/proc/{self.pid or 0}/root") / inside.lstrip("/")

    def processes(self, command: str) -> list[int]:
        """Return the ids, seen from outside, of its processes named `command`."""
        if self.pid is None:
            return []
        shown = run("pgrep", "--ns", str(self.pid), "--nslist", "pid", "-x", command, check=False).stdout
        return [int(line) for line in shown.split()]

    def engine(self, timeout: int = 60) -> docker.APIClient:
        """Return a client on its engine's socket, which needs no network; close it after use."""
        return docker.APIClient(f"unix://{self.path('/run/docker.sock')}", version="auto", timeout=timeout)

    def engine_answers(self) -> bool:
        """Whether its engine answers a ping."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(self.path("/run/docker.sock")))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in connection.recv(32)
        except OSError:
            return False

    def stop_engine(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop its engine as a service manager does, containers included, or with another signal."""
        for pid in self.processes("dockerd"):
            end(pid, number, 60)

    def start_engine(self) -> None:
        """Start its engine, and wait until it answers."""
        detach([*self._inside(), "setsid", "--fork", "/etc/lab-engine"], self.dir / "console.log")
        until(self.engine_answers, f"the engine on {self.name}", 60)

    def restart_engine(self) -> None:
        """Stop the engine and start it again."""
        self.stop_engine()
        self.start_engine()
