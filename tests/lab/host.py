"""A host that relman deploys to, with the ways in which it can break."""

from __future__ import annotations

import http.client
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import NamedTuple

import docker

from tests.lab import pki, trixie
from tests.lab.layout import LabError, Layout
from tests.lab.machine import Machine
from tests.lab.network import NAMESPACES
from tests.lab.process import end_file, run, spawn, until

SLOW_PORT = 2222
MODERN = ("containerd", "docker-cli", "docker.io")  # without trixie's runc, which wants a newer C library
BALLAST = "/var/lib/docker/ballast"


class Answer(NamedTuple):
    """What an HTTP server said."""

    status: int
    text: str


class LabHost(Machine):
    """Host h`number`."""

    def __init__(self, layout: Layout, number: int) -> None:
        super().__init__(layout, f"h{number}", number)
        self._proxy = self.dir / "proxy.pid"

    def http(self, port: int, path: str = "/", timeout: float = 5, json: object = None) -> Answer:
        """GET, or POST of some JSON, from the outside, as a visitor would; raise OSError or HTTPException when nobody
        answers."""
        connection = http.client.HTTPConnection(self.address, port, timeout=timeout)
        try:
            if json is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, dumps(json), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(errors="replace"))
        finally:
            connection.close()

    @contextmanager
    def delay(self, milliseconds: int) -> Iterator[None]:
        """Delay every byte of new connections to port 22, each way; address, port and host key stay."""
        netns = f"--net={NAMESPACES / self._layout.netns(self.name)}"
        proxy: list[str | Path] = [
            sys.executable,
            Path(__file__).with_name("proxy.py"),
            str(SLOW_PORT),
            "22",
            str(milliseconds),
        ]
        spawn(["nsenter", netns, *proxy], pidfile=self._proxy, log=self.dir / "console.log")
        try:
            until(lambda: self.listens(SLOW_PORT), f"the proxy; see {self.dir}/console.log")
            self.run(_redirect("-A"))
            yield
        finally:
            end_file(self._proxy)
            self.run(_redirect("-D"), check=False)

    @contextmanager
    def occupied(self, port: int) -> Iterator[None]:
        """Let a process that is no container listen on a port of the host."""
        netns = f"--net={NAMESPACES / self._layout.netns(self.name)}"
        pidfile = self.dir / "occupier.pid"
        spawn(
            ["nsenter", netns, "busybox", "httpd", "-f", "-p", str(port)], pidfile=pidfile, log=self.dir / "console.log"
        )
        try:
            until(lambda: self.listens(port), f"port {port} of {self.name} to be taken")
            yield
        finally:
            end_file(pidfile)

    @contextmanager
    def stealing(self, port: int) -> Iterator[None]:
        """Let a process that is no container take a port of the host in the moment in which it is free."""
        netns = f"--net={NAMESPACES / self._layout.netns(self.name)}"
        pidfile = self.dir / "thief.pid"
        thief: list[str | Path] = [sys.executable, Path(__file__).with_name("thief.py"), str(port)]
        spawn(["nsenter", netns, *thief], pidfile=pidfile, log=self.dir / "console.log")
        try:
            yield
        finally:
            end_file(pidfile)

    def limit_disk(self, megabytes: int) -> None:
        """Reboot it with an empty disk of that size, which holds all that it writes: /etc, /root, /var."""
        self._replace_disk()
        image = self.dir / "disk.img"
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-m", "0", image)
        self.start()

    def unlimit_disk(self) -> None:
        """Reboot it with a new, empty disk without a limit; nothing happens where there is none."""
        if (self.dir / "disk.img").exists():
            self._replace_disk()
            self.start()

    def _replace_disk(self) -> None:
        self.stop()
        (self.dir / "disk.img").unlink(missing_ok=True)
        shutil.rmtree(self.dir / "disk", ignore_errors=True)

    def modernise(self) -> None:
        """Reboot it with an empty disk and Docker 26 with the containerd image store, until reset."""
        if not self.modern:
            self._change_engine(trixie.fetch(*MODERN))

    def _change_engine(self, programs: Path | None) -> None:
        self._replace_disk()
        (self.dir / "engine").unlink(missing_ok=True)
        if programs:
            (self.dir / "engine").symlink_to(programs)
        self._configure_engine()
        self.start()

    @contextmanager
    def sshd(self, *lines: str) -> Iterator[None]:
        """Let its sshd obey these lines of sshd_config(5), in the place of those with the same keywords."""
        before = self.path("/etc/ssh/sshd_config").read_text()
        keywords = {line.split()[0] for line in lines}
        kept = [line for line in before.splitlines() if line.split()[0] not in keywords]
        self._configure_sshd("\n".join([*lines, *kept, ""]))
        try:
            yield
        finally:
            self._configure_sshd(before)

    def _configure_sshd(self, config: str) -> None:
        """Stop the listening sshd, not the connections that it made, and start it anew: a bad line is a LabError."""
        self.run(["tee", "/etc/ssh/sshd_config"], stdin=config)
        self.run(["pkill", "-F", "/run/sshd.pid"])
        until(lambda: not self.listens(22), f"sshd on {self.name} to end", 10)
        self.run(["/usr/sbin/sshd"])  # which ends before its daemon listens
        until(lambda: self.listens(22), f"sshd on {self.name} to listen", 10)

    def fill_disk(self) -> None:
        """Write until nothing more fits on the disk that limit_disk made; raise LabError without one."""
        if not (self.dir / "disk.img").exists():
            raise LabError(f"{self.name} has no disk of its own to fill: call limit_disk first")
        self.run(["dd", "if=/dev/zero", f"of={BALLAST}", "bs=64k"], check=False)
        self.run(["dd", "if=/dev/zero", f"of={BALLAST}.rest", "bs=1"], check=False)

    def free_disk(self) -> None:
        """Undo fill_disk."""
        self.run(["rm", "-f", BALLAST, f"{BALLAST}.rest"])

    def change_host_key(self) -> None:
        """Give its sshd another key, as a host has that was installed anew; known_hosts keeps the old one."""
        other = self.dir / "other/ssh_host_ed25519_key"
        pki.make_ssh_key(other, self.name)
        self._show_key(other)

    def restore_host_key(self) -> None:
        """Give its sshd the key again that known_hosts has."""
        self._show_key(self._key)

    def _show_key(self, key: Path) -> None:
        public = key.with_suffix(".pub").read_text()
        self.run(["tee", "/etc/ssh/ssh_host_ed25519_key"], stdin=key.read_text())
        self.run(["pkill", "-HUP", "-F", "/run/sshd.pid"])
        until(lambda: self.shown_key() in public, f"sshd on {self.name} to show its new key")

    def shown_key(self) -> str:
        """Return the key that its sshd shows now, as known_hosts has it; raise LabError if none."""
        scanned = until(lambda: run("ssh-keyscan", "-t", "ed25519", self.address, check=False).stdout, "sshd")
        return scanned.split(" ", 1)[1].strip()

    def reset(self) -> None:
        """Make it as good as new: on, reachable, its own key, no containers, images, volumes, records."""
        self.unlimit_disk()
        if self.modern:
            self._change_engine(None)
        if self._proxy.exists():
            self.stop()
        self.repair()
        if self.path("/etc/ssh/ssh_host_ed25519_key").read_bytes() != self._key.read_bytes():
            self.restore_host_key()
        with self.engine() as engine:
            _empty(engine)
        self.run(["rm", "-rf", "/var/lib/relman"])


def _redirect(action: str) -> list[str]:
    to = ["-j", "REDIRECT", "--to-ports", str(SLOW_PORT)]
    return ["iptables", "-w", "-t", "nat", action, "PREROUTING", "-p", "tcp", "--dport", "22", *to]


def _empty(engine: docker.APIClient) -> None:
    for container in engine.containers(all=True):
        engine.remove_container(container["Id"], force=True, v=True)
    for image in engine.images(quiet=True):
        engine.remove_image(image, force=True)
    engine.prune_images({"dangling": False})
    engine.prune_volumes()
    engine.prune_networks()
