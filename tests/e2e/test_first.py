"""docs/first.md is played: its files are written and its commands typed as they stand, on two hosts with nothing on
them, and what it prints is what is seen. Between its first and its second deployment users make requests all the time.

What stands in for the world outside is here, and nothing else is changed: DNS is an /etc/hosts; images of Docker Hub
are on the machine's engine already, made of Debian's packages; hosts, which pull by themselves, get HAProxy from the
document's own registry; apt finds Docker installed; and nobody waits as long as by default whether a container stays
healthy, or a connection is kept.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.apps import HAPROXY, bases
from tests.apps.checkout import AUTHOR, git
from tests.lab import pki
from tests.lab.counted import Counted, Target
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.load import load
from tests.lab.process import ENV, patience, until
from tests.unit.documents import ROOT, Block, blocks

NAME = "shop.example.com"
COPY = "localhost:5000/haproxy:3.2"
INSTEAD = {
    "relman_proxy: {}\n": f"relman_proxy: {{image: {COPY}, keep_alive: 1s}}\n",
    "relman_proxy:\n": f"relman_proxy:\n      image: {COPY}\n",
    "  health:\n": "  health:\n    window: 1s\n",
}
MACHINE = ("unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --bind "$HOSTS" /etc/hosts; exec "$@"')
PROGRAMS = {
    "relman": f'exec {sys.executable} -m relman "$@"',
    "docker": 'exec /usr/bin/docker "$@"',
    "ssh": 'exec /usr/bin/ssh -i "$HOME/.ssh/id_ed25519" -o UserKnownHostsFile="$HOME/.ssh/known_hosts" "$@"',
}
REGISTRY = """\
FROM python:3.13-slim
COPY docker-registry /
ENTRYPOINT ["/docker-registry", "serve", "/config.yml"]
COPY config.yml /
"""
REGISTRY_CONFIG = b"{version: 0.1, storage: {filesystem: {rootdirectory: /var/lib/registry}}, http: {addr: ':5000'}}"
CHANGING = re.compile(r"[0-9a-f]{12,}|\d+(?:,\d{3})*")


class Reader:
    """Somebody who does what the document says, on the CI machine, in a directory `shop`."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self.lab = lab
        self.shop = home / "shop"
        self._home = home
        self._users = ExitStack()
        self.counted = Counted()
        self._said = ""

    def prepare(self) -> None:
        """What the document says that a reader brings."""
        (self._home / ".ssh").mkdir()
        shutil.copy(self.lab.dir / "ssh/id_ed25519", self._home / ".ssh/id_ed25519")
        names = [f"{host.address} web{n}.example.com {NAME}" for n, host in enumerate(self.lab.hosts[:2], 1)]
        (self._home / "hosts").write_text("\n".join(["127.0.0.1 localhost", *names, ""]))
        (self._home / "bin").mkdir()
        for name, line in PROGRAMS.items():
            (self._home / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
            (self._home / "bin" / name).chmod(0o755)
        self.shop.mkdir()
        git(self.shop, "init", "--quiet")
        _hub(self.lab)

    @property
    def _env(self) -> Mapping[str, str]:
        own = {"HOME": str(self._home), "HOSTS": str(self._home / "hosts"), "PYTHONPATH": str(ROOT)}
        docker = {"DOCKER_HOST": f"unix://{self.lab.dir}/ci/docker.sock"}
        curl = {"CURL_CA_BUNDLE": str(self._home / "pki/ca.crt")}
        return {**ENV, **AUTHOR, **own, **docker, **curl, "PATH": f"{self._home}/bin:{ENV['PATH']}"}

    def follow(self, block: Block) -> None:
        """Write a file, type commands, or look at what they said."""
        if block.info == "text":
            said = _plain(_apart(self._said).replace(COPY.partition(":3.2")[0], "docker.io/library/haproxy"))
            for part in re.split(r"[…\n]", block.text):
                assert _plain(part) in said, f"below line {block.line}: not seen: {part}\n{self._said}"
        elif block.info == "sh":
            self._around(block.text)
        else:
            file = self.shop / block.info.split()[1]
            file.parent.mkdir(exist_ok=True)
            text = block.text
            for shown, own in INSTEAD.items():
                text = text.replace(shown, own)
            file.write_text(text)

    def _around(self, text: str) -> None:
        """Type it; users come before the second deployment, and go after the rollback."""
        if "fullchain.pem" in text:
            pki.make_ca(self._home / "pki", "127.0.0.1", NAME)
            shutil.copy(self._home / "pki/server.crt", self.shop / "fullchain.pem")
            shutil.copy(self._home / "pki/server.key", self.shop / "privkey.pem")
        if "relman deploy 2" in text:
            self.counted = self._users.enter_context(load(*self._targets))
            until(lambda: self.counted.requests > 100, "requests")
        self._said = self.types(text)
        if "registry:2" in text:
            self.types(f"docker tag {bases.load(HAPROXY).image} {COPY}; docker push -q {COPY}")
        if "relman rollback" in text:
            self._users.close()

    @property
    def _targets(self) -> list[Target]:
        return [Target(host.address, 80, NAME) for host in self.lab.hosts[:2]]

    def types(self, text: str) -> str:
        """Type commands, each of which has to succeed; what they said."""
        argv = [*self.lab.ci.prefix, *MACHINE, "sh", "bash", "-euxo", "pipefail", "-c", text]
        most = 240 * patience()
        done = subprocess.run(argv, cwd=self.shop, env=dict(self._env), capture_output=True, text=True, timeout=most)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def leave(self) -> None:
        """Take away what the document started on this machine."""
        self._users.close()
        with self.lab.ci.engine() as engine:
            for container in engine.containers(all=True, filters={"ancestor": "registry:2"}):
                engine.remove_container(container["Id"], force=True, v=True)


def _plain(text: str) -> str:
    """Without what is another time different: numbers and digests."""
    return CHANGING.sub("#", " ".join(text.split()))


def _apart(said: str) -> str:
    """A table whose hosts happen to say the same, which relman then says once, with what each of them says."""
    same = re.search(r"^all: detail (.*)$", said, re.MULTILINE)
    if not same:
        return said
    said = re.sub(r"^(HOST +RESULT)$", r"\1 DETAIL", said, flags=re.MULTILINE)
    return re.sub(r"^(\S+ +changed)$", lambda row: f"{row[1]} {same[1]}", said, flags=re.MULTILINE)


def _hub(lab: Lab) -> None:
    """Give the engine of the CI machine the images that the document has of Docker Hub."""
    socket = lab.dir / "ci/docker.sock"
    for name in ("python-base", HAPROXY):
        bases.ensure(name, socket)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        content = {"Dockerfile": REGISTRY.encode(), "config.yml": REGISTRY_CONFIG}
        for name, data in {**content, "docker-registry": Path("/usr/bin/docker-registry").read_bytes()}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
    packed.seek(0)
    with lab.ci.engine() as engine:
        engine.tag(bases.load("python-base").image, "python", "3.13-slim")
        said = b"".join(engine.build(fileobj=packed, custom_context=True, tag="registry:2", rm=True))
        assert b"Successfully built" in said, said


@pytest.fixture
def reader(lab: Lab, hosts: list[LabHost], tmp_path: Path) -> Iterator[Reader]:
    """A reader who has two hosts; apt asks no mirror there."""
    reader = Reader(lab, tmp_path)
    try:
        for host in hosts[:2]:
            host.run(["sh", "-c", "mkdir -p /etc/apt.off && mv /etc/apt/sources.list* /etc/apt.off"])
        reader.prepare()
        yield reader
    finally:
        reader.leave()
        for host in hosts[:2]:
            host.run(["sh", "-c", "mv /etc/apt.off/* /etc/apt/"], check=False)


def test_the_first_service_is_as_the_document_says(reader: Reader) -> None:
    """From a compose file to HTTPS; nobody notices the second deployment, nor the rollback."""
    document = blocks((ROOT / "docs/first.md").read_text())
    for block in document:
        reader.follow(block)
    counted = reader.counted
    assert counted.failures == [], (len(counted.failures), counted.requests, counted.failures[:5])
    assert set(counted.answers) == {"hello", "hello again"}
