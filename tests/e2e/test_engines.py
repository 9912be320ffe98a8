"""One fleet of unlike hosts: engines of two generations, and every way to an engine's socket that sshd leaves open."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from relman.config.ssh.host import SshConfig
from relman.evidence.promote import promote
from relman.hosts.ssh.connection import connect
from relman.hosts.state_dir import files
from relman.model.host import Host, SshOptions
from relman.model.image import ConfigDigest, Platform
from relman.model.run import CommandResult, Commit, RunName, TestReport
from tests.contract.images import push_image, push_index
from tests.e2e.stage import Stage
from tests.lab.host import LabHost
from tests.lab.lab import Lab, at_once

NOISE = "echo \"Welcome, $USER; this is $(hostname)\"; printf '\\0\\1\\2'\n"
BANNER = "/etc/issue.net"
ARM = Platform("linux", "arm64")


@pytest.fixture(scope="module")
def unlike(releases: Lab) -> Iterator[Lab]:
    """Docker 20.10 on h1 and h3, Docker 26 with the containerd image store on h2; two users on h3, neither is root."""
    h1, h2, h3 = releases.hosts
    at_once([h1.reset, h2.modernise, h3.reset])
    for user, groups in (("deploy", ["-G", "docker"]), ("sudoer", [])):
        _add_user(h3, user, groups)
    rule = "sudoer ALL=(root) NOPASSWD: /usr/bin/docker system dial-stdio\n"
    h3.run(["sh", "-c", "umask 227 && cat >/etc/sudoers.d/relman"], stdin=rule)
    yield releases
    for user in ("deploy", "sudoer"):
        h3.run(["userdel", "-rf", user], check=False)
    h3.run(["rm", "-rf", "/etc/sudoers.d/relman", "/srv/relman"])
    at_once(host.reset for host in releases.hosts)


def _add_user(host: LabHost, user: str, groups: list[str]) -> None:
    host.run(["useradd", "-m", "-p", "*", "-s", "/bin/bash", *groups, user])
    state = f"/srv/relman/{user}"
    host.run(["cp", "-a", "/root/.ssh", f"/home/{user}/.ssh"])
    host.run(["mkdir", "-p", state])
    host.run(["chown", "-R", f"{user}:", f"/home/{user}/.ssh", state])


@pytest.fixture
def one(unlike: Lab, tmp_path: Path) -> Stage:
    """Hosts h1 and h3 as new, each an environment of its own too."""
    at_once(host.reset for host in (unlike.hosts[0], unlike.hosts[2]))
    return Stage(unlike, tmp_path)


def inventory(stage: Stage, hosts: Mapping[str, Mapping[str, Any]]) -> None:
    """Let production be these hosts, with variables of their own."""
    stage.write_inventory({"production": {"hosts": dict.fromkeys(hosts)}})
    tree = yaml.safe_load(stage.inventory.read_text())
    for name, variables in hosts.items():
        tree["all"]["hosts"][name] |= variables
    stage.inventory.write_text(yaml.safe_dump(tree))


def as_user(name: str) -> dict[str, str]:
    """The variables of a host to which that user deploys."""
    return {"ansible_user": name, "relman_state_dir": f"/srv/relman/{name}"}


def lives(stage: Stage, *hosts: LabHost) -> None:
    """Deploy, deploy again, go back, and look: the same outcome on every host."""
    stage.deploy("1")
    stage.deploy("2")
    assert {h.http(8080, "/version").text for h in hosts} == {"2\n"}
    stage.rollback()
    assert {h.http(8080, "/version").text for h in hosts} == {"1\n"}
    assert {(row["release"], row["health"]) for row in stage.status()} == {("1", "healthy")}


def test_one_fleet_of_two_engines_lives_a_whole_life(unlike: Lab, tmp_path: Path) -> None:
    """Deployed, read back, rolled back without the registry after everybody's prune, and pruned: every host tells the
    same story, whatever its engine calls an image, and although one user's shell talks before every program."""
    stage = Stage(unlike, tmp_path)
    h1, h2, h3 = unlike.hosts
    with h2.engine() as modern, h1.engine() as classic:
        assert modern.info()["DriverStatus"] == [["driver-type", "io.containerd.snapshotter.v1"]]
        assert classic.info()["ServerVersion"] < modern.info()["ServerVersion"]
    inventory(stage, {"h1": {}, "h2": {}, "h3": as_user("deploy")})
    for tag in ("life1", "life2", "life3"):
        stage.release(tag, deploy={"keep": 1})
    h3.run(["tee", "/home/deploy/.bashrc"], stdin=NOISE)
    talkative = ("AllowStreamLocalForwarding no", f"Banner {BANNER}", "Subsystem sftp /usr/lib/openssh/sftp-server")
    with h3.sshd(*talkative):
        for tag in ("life1", "life2", "life3"):
            stage.deploy(tag)
            stage.serve(tag)
        assert "nothing to do" in stage.deploy("life3").out
        _kept_are(unlike, 2)
        at_once(lambda h=h: h.run(["docker", "system", "prune", "-f"]) and None for h in unlike.hosts)  # type: ignore[misc]
        unlike.registry.stop()
        try:
            stage.rollback()
        finally:
            unlike.registry.start()
        stage.serve("life2")
        rows = stage.status()
    assert {(row["release"], row["health"], row["drift"]) for row in rows} == {("life2", "healthy", False)}
    assert len({row["manifest"] for row in rows}) == 1


def _kept_are(lab: Lab, count: int) -> None:
    for host in lab.hosts:
        with host.engine() as engine:
            tags = {t for image in engine.images() for t in image["RepoTags"] or () if t.startswith("relman.kept")}
            assert (host.name, len(tags), len(engine.containers(all=True))) == (host.name, count, count)


def test_a_socket_that_only_sudo_may_use(one: Stage) -> None:
    """With relman_docker_command the engine is reached although the user may not open its socket; without, the error
    says whose socket it is, and nothing was changed."""
    h3 = one.lab.hosts[2]
    inventory(one, {"h3": as_user("sudoer")})
    said = one.deploy("1", code=4).err
    assert "sudoer may not use the Docker engine's socket" in said
    inventory(one, {"h3": as_user("sudoer") | {"relman_docker_command": "sudo -n docker"}})
    h3.run(["tee", "/home/sudoer/.bashrc"], stdin=NOISE)
    lives(one, h3)


def test_two_jump_hosts_in_a_row(one: Stage) -> None:
    """ProxyJump through two hosts of the ssh_config, both with a banner, changes nothing."""
    h1, h2, h3 = one.lab.hosts
    config = one.home / "ssh_config"
    shutil.copy(one.lab.env["RELMAN_SSH_CONFIG"], config)
    far = f"Host far\n  HostName {h3.address}\n  ProxyJump h1,h2\n"
    config.write_text(far + config.read_text())
    one.env["RELMAN_SSH_CONFIG"] = str(config)
    inventory(one, {"h3": {"ansible_host": "far"}})
    with h1.sshd(f"Banner {BANNER}"), h2.sshd(f"Banner {BANNER}"):
        assert f"root@{h2.address}:22" in one.relman("inventory", "-e", "production").out
        lives(one, h3)


def test_one_session_is_enough_where_sshd_opens_the_socket(one: Stage) -> None:
    """MaxSessions 1 leaves room for the records; where Docker needs a session too, 2 are enough, and with 1 it is named
    as the cause."""
    h1 = one.lab.hosts[0]
    inventory(one, {"h1": {}})
    with h1.sshd("MaxSessions 1"):
        lives(one, h1)
    with h1.sshd("MaxSessions 2", "AllowStreamLocalForwarding no"):
        lives(one, h1)
    with h1.sshd("MaxSessions 1", "AllowStreamLocalForwarding no"):
        said = one.deploy("2", code=4).err
    assert "h1" in said
    assert "MaxSessions" in said
    assert h1.http(8080, "/version").text == "1\n"


def test_an_image_without_a_tested_child_for_the_hosts_platform(one: Stage) -> None:
    """What was tested is for another platform, alone or as the child of an index: refused, with both platforms named,
    before anything is pulled."""
    inventory(one, {"h1": {}})
    h1 = one.lab.hosts[0]
    with one.registry() as registry:
        arm = push_image(registry, one.repository, "run-arm", platform=ARM)
        push_index(registry, one.repository, "run-index", {ARM: arm})
        for source in ("run-arm", "run-index"):
            report = _tested(arm.config, ARM)
            promote(registry, one.repository, source=source, report=report, release_tag=f"tested-{source[4:]}")
    for tag in ("tested-arm", "tested-index"):
        said = one.deploy(tag, code=4).err
        assert "h1: the host is linux/amd64, and only the image for linux/arm64 was tested" in said
    with h1.engine() as engine:
        assert engine.images() == []


def test_threads_share_one_sftp_client(one: Stage) -> None:
    """Files of every size come back whole, private and timed, and grow by what is added, also when several threads ask
    at the same time."""
    inventory(one, {"h3": as_user("deploy")})
    ssh = SshConfig(one.env["RELMAN_SSH_CONFIG"])
    known = (one.env["RELMAN_KNOWN_HOSTS"],)
    hop = replace(ssh.route("h3").endpoint, user="deploy")
    connection = connect(Host("h3", hop, state_dir="/srv/relman/deploy"), SshOptions(known_hosts=known))

    def one_file(number: int) -> None:
        data = os.urandom(number * 20_011)
        for _ in range(5):
            beside, path = files.write_beside(connection, "many", str(number), "file", "token", data)
            assert files.read(connection, path) is None
            found = files.read(connection, beside)
            assert found is not None
            assert (found[0] == data, abs(found[1] - time.time()) < 60) == (True, True)
            connection.sftp().posix_rename(beside, path)
            connection.sftp().remove(path)
            size = files.append(connection, "many", str(number), "log", data)
        assert size == 5 * len(data)
        assert files.tail(connection, path.replace("file", "log"), 30_000) == (data * 5)[-30_000:]
        files.write_beside(connection, "many", str(number), "file", "token", data)

    try:
        at_once(partial(one_file, number) for number in range(8))
    finally:
        connection.close()
    modes = one.lab.hosts[2].run(["sh", "-c", "stat -c %a:%U /srv/relman/deploy/many/*/file.token"]).stdout
    assert modes == "600:deploy\n" * 8


def _tested(config: ConfigDigest, platform: Platform) -> TestReport:
    return TestReport(
        run=RunName("demo", "1"),
        service="demo",
        config=config,
        platform=platform,
        commit=Commit("0" * 40),
        commands=(CommandResult(("true",), 0, 0.1),),
    )
