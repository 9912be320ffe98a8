"""A user's first minute with what they have: an SSH agent, an account that is not root, a bastion, an INI inventory,
and a company's CA in the system's store, here and on the hosts. The 15 hosts are addresses of the lab's three machines:
five share an engine, and so three are deployed to while all are asked."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.stage import Stage
from tests.lab.host import LabHost
from tests.lab.lab import Lab, at_once
from tests.lab.machine import Machine
from tests.lab.process import until

COUNT = 15
USER = "anna"
STORE = "/etc/ssl/certs/ca-certificates.crt"


def test_check_mend_deploy_look(minute: Stage) -> None:
    """`check --hosts` says what to type, once for all hosts; after that the fleet is ready, the deployment comes
    through a bastion that lets two sign in at a time and has no sessions, and status shows every host."""
    said = minute.relman("check", "-e", "web", "--hosts", code=4)
    assert f"state directory: /var/lib/relman may not be read or written by {USER}" in said.out
    (command,) = set(re.findall(r"on the host: sudo (install .*?);", said.out))
    assert "15 of 15 hosts of web are not ready" in said.err
    planned = minute.relman("deploy", "1", "-e", "web", "--only", "web01", "--plan", code=4)
    assert f"sudo {command}" in planned.err
    for host in minute.lab.hosts:
        host.run(shlex.split(command))
    assert "ready: web01, web02" in minute.relman("check", "-e", "web", "--hosts").out
    minute.relman("deploy", "1", "-e", "web", "--only", "web0[1-3]", "--yes")
    minute.serve("1")
    rows = minute.status("web")
    assert [(row["host"], row["release"], row["health"]) for row in rows] == [
        (f"web{n:02}", "1", "healthy") for n in range(1, COUNT + 1)
    ]


@pytest.fixture
def minute(stage: Stage, tmp_path: Path) -> Iterator[Stage]:
    """Hosts that only the bastion reaches, and what the user has."""
    lab = stage.lab
    bastion = lab.ci.machine
    addresses = [lab.layout.address(100 + n) for n in range(1, COUNT + 1)]
    try:
        at_once(partial(_prepare, lab, host, addresses[i :: len(lab.hosts)]) for i, host in enumerate(lab.hosts))
        bastion.run(["sh", "-c", "printf '%s\\n' 'MaxStartups 2:100:2' 'MaxSessions 0' >>/etc/ssh/sshd_config"])
        bastion.run(["pkill", "-HUP", "-F", "/run/sshd.pid"])
        _write(stage, bastion, addresses)
        with _agent(lab, tmp_path) as socket:
            store = tmp_path / "store.crt"
            store.write_text(Path(STORE).read_text() + lab.registry.ca.read_text())
            stage.env |= {"SSH_AUTH_SOCK": socket, "HOME": str(tmp_path), "SSL_CERT_FILE": str(store)}
            stage.env.pop("RELMAN_REGISTRY_CA", None)
            yield stage
    finally:
        at_once(partial(_restore, host) for host in lab.hosts)
        bastion.run(["sed", "-i", "/^Max/d", "/etc/ssh/sshd_config"])
        bastion.run(["pkill", "-HUP", "-F", "/run/sshd.pid"])


def _prepare(lab: Lab, host: LabHost, addresses: Sequence[str]) -> None:
    host.run(["useradd", "-m", "-p", "*", "-s", "/bin/bash", "-G", "docker", USER])
    host.run(["cp", "-a", "/root/.ssh", f"/home/{USER}/.ssh"])
    host.run(["chown", "-R", f"{USER}:", f"/home/{USER}/.ssh"])
    for address in addresses:
        host.run(["ip", "addr", "add", f"{address}/24", "dev", "eth0"])
    source = ["-s", lab.layout.gateway]
    host.run(["iptables", "-w", "-A", "INPUT", *source, "-p", "tcp", "--dport", "22", "-j", "DROP"])
    host.stop_engine()
    host.run(["mv", "/etc/docker/certs.d", "/etc/docker/certs.off"])
    host.run(["cp", STORE, f"{STORE}.before"])
    host.run(["tee", "-a", STORE], stdin=lab.registry.ca.read_text())
    host.start_engine()


def _restore(host: LabHost) -> None:
    host.run(["userdel", "-rf", USER], check=False)
    host.run(["mv", "/etc/docker/certs.off", "/etc/docker/certs.d"], check=False)
    host.run(["mv", f"{STORE}.before", STORE], check=False)
    host.reboot()


def _write(stage: Stage, bastion: Machine, addresses: Sequence[str]) -> None:
    lab, home = stage.lab, stage.home
    known = [f"{bastion.address} {bastion.host_key}"]
    for number, address in enumerate(addresses):
        known.append(f"{address} {lab.hosts[number % len(lab.hosts)].host_key}")
    (home / "known").write_text("\n".join([*known, ""]))
    network = lab.layout.address(0).removesuffix("0")
    (home / "ssh_config").write_text(
        f"Host bastion\n  HostName {bastion.address}\n  User root\n\nHost {network}1??\n  ProxyJump bastion\n"
    )
    lines = [f"web{n:02} ansible_host={address}" for n, address in enumerate(addresses, 1)]
    services = f'relman_services={{"demo": "{stage.repository}"}}'
    (home / "hosts.ini").write_text(
        "\n".join(["[web]", *lines, "", "[web:vars]", f"ansible_user={USER}", services, ""])
    )
    stage.env |= {
        "RELMAN_INVENTORY": str(home / "hosts.ini"),
        "RELMAN_SSH_CONFIG": str(home / "ssh_config"),
        "RELMAN_KNOWN_HOSTS": str(home / "known"),
    }


@contextmanager
def _agent(lab: Lab, place: Path) -> Iterator[str]:
    """An SSH agent that alone has the key; gives its socket."""
    path = place / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        until(path.exists, "the agent's socket")
        env = {"SSH_AUTH_SOCK": str(path), "PATH": "/usr/bin"}
        subprocess.run(["ssh-add", "-q", f"{lab.dir}/ssh/id_ed25519"], env=env, check=True)
        yield str(path)
    finally:
        process.terminate()
        process.wait()
