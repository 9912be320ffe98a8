"""A team without a registry: one listens on the loopback of the machine that deploys, without TLS or a login, and no
host reaches that machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from relman.model.image import Repository
from tests.apps.checkout import commit, git
from tests.e2e.stage import Stage
from tests.e2e.test_lost import lose
from tests.e2e.wayout import P
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.local_registry import LocalRegistry
from tests.lab.process import until

PORT = 5050
DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
COPY busybox /bin/sh
COPY www /www
ENV PATH=/bin
STOPSIGNAL SIGKILL
CMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
"""
RELMAN = f"""\
service: demo
registry: localhost:{PORT}
test:
  commands:
    - [/bin/busybox, test, -s, /www/version]
deploy:
  ports: ["8080:8080"]
  health: {{http: {{port: 8080, path: /version}}, window: 0.5s}}
  max_unavailable: 2
"""


class Team(Stage):
    """Works on the CI machine, in a checkout, with nothing of the lab's registry; the last host is behind another."""

    def __init__(self, lab: Lab, home: Path) -> None:
        super().__init__(lab, home)
        self.network = lab.ci.machine.network
        self.repository = Repository(f"localhost:{PORT}", "demo")
        for name in ("RELMAN_REGISTRY_CA", "DOCKER_CONFIG"):
            del self.env[name]
        self.write_inventory(relman_services={"demo": str(self.repository)})
        tree = yaml.safe_load(self.inventory.read_text())
        del tree["all"]["vars"]["relman_registry_ca"]
        self.inventory.write_text(yaml.safe_dump(tree))
        jump = f"Host {lab.hosts[2].address}\nProxyJump root@{lab.hosts[1].address}\n"
        (home / "ssh_config").write_text(f"{jump}Host *\nIdentityFile {lab.dir}/ssh/id_ed25519\n")
        self.env["RELMAN_SSH_CONFIG"] = str(home / "ssh_config")
        (home / "www").mkdir()
        shutil.copy("/usr/bin/busybox", home / "busybox")
        (home / "Dockerfile").write_text(DOCKERFILE)
        (home / "relman.yml").write_text(RELMAN)
        git(home, "init", "--quiet")

    def ci(self, version: str) -> None:
        """A CI job for this version."""
        (self.home / "www/version").write_text(version)
        commit(self.home, version)
        self.relman("ci", "--run", f"demo/{version}")


@pytest.fixture
def team(lab: Lab, hosts: list[LabHost], tmp_path: Path) -> Team:
    """Three hosts as new."""
    assert len(hosts) == 3
    return Team(lab, tmp_path)


def bare(host: LabHost) -> None:
    """Take every image that no container has, also a stopped one."""
    with host.engine() as engine:
        engine.prune_containers()
        for image in engine.images():
            for name in image["RepoTags"] or ():
                engine.remove_image(name)
        engine.prune_images({"dangling": False})


def sockets(host: LabHost, state: str) -> list[str]:
    """The host's TCP sockets in that state, at the registry's port."""
    lines = host.run(["busybox", "netstat", "-tan"]).stdout.splitlines()
    return [line for line in lines if f":{PORT} " in line and state in line]


def test_a_team_without_a_registry(team: Team, tmp_path: Path) -> None:
    """From a commit to three hosts and back, also where a connection is lost in the middle of a pull; each host has the
    image under the inventory's name, and nothing listens there afterwards. Where sshd forwards nothing or something
    else has the port that is said before anything changes, and a registry of the host's own is used as it is."""
    h1, h2, h3 = team.lab.hosts
    registry = LocalRegistry(team.lab.ci.prefix, PORT, tmp_path / "registry")
    with registry.running():
        team.ci("1")
        assert "ready: h1, h2, h3" in team.relman("check", *P, "--hosts").out
        team.deploy("1")
        team.serve("1")
        team.ci("2")
        with team.held("pull", h1, "deploy", "2", *P, "--yes") as running:
            registry.pause()
        until(lambda: sockets(h1, "ESTABLISHED"), "h1's engine to ask the registry")
        running.says("== plan")  # from then on nothing but the pull needs h1
        lose(h1)
        registry.resume()
        ended = running.ended()
        assert ended.code == 0, ended.text
        team.serve("2")
        for host in (h1, h2, h3):
            with host.engine() as engine:
                assert engine.images(f"{team.repository}", quiet=True)
            assert not sockets(host, "LISTEN")
        bare(h3)
        team.rollback()
        team.serve("1")
        for host in (h1, h2):
            bare(host)
        refuse(team, h1, h2)
        own = shutil.copytree(tmp_path / "registry", tmp_path / "own")
        with h2.sshd("AllowTcpForwarding local"), LocalRegistry(h2.prefix, PORT, own).running():
            team.deploy("2")
        team.serve("2")
    nobody = team.relman("deploy", "1", *P, "--yes", code=4)
    assert f"localhost:{PORT}" in nobody.err


def refuse(team: Team, h1: LabHost, h2: LabHost) -> None:
    """What is in the way is named by `check`, by the plan and by the deployment, and every host serves what it did."""
    with h1.sshd("PermitListen 127.0.0.1:1"), h2.occupied(PORT):
        checked = team.relman("check", *P, "--hosts", code=4)
        planned = team.relman("deploy", "2", *P, "--plan", code=4)
        deployed = team.deploy("2", code=4)
    for said in (checked.out, planned.err, deployed.err):
        assert f"sshd refuses to forward localhost:{PORT} to the registry on this machine" in said
        assert "a process outside Docker" in said
    team.serve("1")
