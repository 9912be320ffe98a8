"""Two more ways to replace one container by another image on many hosts: Ansible and pyinfra, set to be fast.

Both hold one SSH connection a host, work on all hosts at once, check host keys against the lab's known_hosts, and use
the registry's password that each host's root has. What is asked of them is less than of relman: no release, evidence
or lock is checked, no health awaited, no image read back, nothing recorded. The work of the engines is nearly the same:

- Ansible (community.docker's docker_container, one task, no facts gathered, pipelining, the interpreter named) pulls,
  stops within STOP_TIMEOUT, creates and starts. It removes the old container, where others keep it.
- pyinfra (docker.image and docker.container, three operations, each on all hosts before the next) pulls, stops within
  the engine's own time, which is STOP_TIMEOUT, removes the old container, creates and starts.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.bench.sides import RESTART, SERVICE, STOP_TIMEOUT, Side, repository, timed
from tests.lab import images, packages
from tests.lab.lab import Lab
from tests.lab.layout import LabError

INSTALLED = Path(__file__).parents[2] / ".peers"
PORT = f"{images.PORT}:{images.PORT}"
PLAYBOOK = f"""\
- hosts: production
  gather_facts: false
  tasks:
    - community.docker.docker_container:
        name: {SERVICE}
        image: "{{{{ image }}}}"
        pull: always
        ports: ["{PORT}"]
        restart_policy: {RESTART}
        stop_timeout: {STOP_TIMEOUT}
"""
OPERATIONS = f"""\
from pyinfra import host
from pyinfra.operations import docker

image = host.data.image
docker.image(image=image, force=True)
docker.container(container={SERVICE!r}, start=False)
docker.container(container={SERVICE!r}, image=image, ports=[{PORT!r}], restart_policy={RESTART!r}, force=True)
"""


def prepare_peers(sides: Iterable[str]) -> None:
    """Install what Ansible needs on the hosts, which see this machine's packages; raise LabError for an absent peer."""
    for peer in PEERS.keys() & set(sides):
        if not (INSTALLED / peer / ".locked").exists():
            raise LabError(f"{peer} is not installed in {INSTALLED}: make bench does that")
    packages.install("python3-requests")


def by_ansible(lab: Lab, tag: str) -> float:
    """One run of ansible-playbook with the lab's own inventory and as many forks as hosts."""
    playbook = lab.dir / "playbook.yml"
    playbook.write_text(PLAYBOOK)
    environ = {
        "ANSIBLE_HOME": str(lab.dir / "ansible"),
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        # No ControlMaster: one task needs one connection, and no round may find the last one's open.
        "ANSIBLE_SSH_ARGS": f"-F {lab.dir / 'ssh/config'}",
        "LC_ALL": "C.UTF-8",
    }
    options = ["--forks", str(len(lab.hosts)), "--extra-vars", f"image={repository(lab)}:{tag}"]
    program = INSTALLED / "ansible/bin/ansible-playbook"
    return timed([program, "--inventory", lab.env["RELMAN_INVENTORY"], *options, playbook], environ)[0]


def by_pyinfra(lab: Lab, tag: str) -> float:
    """One run of pyinfra, which reads the lab's ssh_config, on all hosts in parallel."""
    operations = lab.dir / "operations.py"
    operations.write_text(OPERATIONS)
    data = {
        "image": f"{repository(lab)}:{tag}",
        "ssh_config_file": str(lab.dir / "ssh/config"),
        "ssh_strict_host_key_checking": "yes",
    }
    options = [word for key, value in data.items() for word in ("--data", f"{key}={value}")]
    hosts = ",".join(host.name for host in lab.hosts)
    program = INSTALLED / "pyinfra/bin/pyinfra"
    return timed([program, "--yes", "--parallel", str(len(lab.hosts)), *options, hosts, operations])[0]


PEERS: dict[str, Side] = {"ansible": by_ansible, "pyinfra": by_pyinfra}
