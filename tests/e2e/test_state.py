"""Whom a host's state directory may belong to, on real hosts: all else is refused by name, with what mends it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from relman.config.ssh.host import SshConfig
from relman.hosts.ssh.connection import Connection, connect
from relman.hosts.state_dir import files, location, record
from relman.model.errors import PreflightFailed
from relman.model.host import Host, SshOptions
from relman.model.state_dir.record import HostRecord
from tests.e2e.stage import ROOT, Stage
from tests.lab.host import LabHost
from tests.lab.lab import Lab, at_once

USERS = ("anna", "bert")
TOP = "/srv/state"
SERVICE = f"{TOP}/production/shop"


@pytest.fixture(scope="module")
def users(releases: Lab) -> Iterator[Lab]:
    """Two users on h1, who share a group and may use the engine."""
    host = releases.hosts[0]
    host.reset()
    host.run(["groupadd", "deployers"])
    for user in USERS:
        host.run(["useradd", "-m", "-p", "*", "-s", "/bin/bash", "-G", "docker,deployers", user])
        host.run(["cp", "-a", "/root/.ssh", f"/home/{user}/.ssh"])
        host.run(["chown", "-R", f"{user}:", f"/home/{user}/.ssh"])
    yield releases
    for user in USERS:
        host.run(["userdel", "-rf", user], check=False)
    host.run(["groupdel", "deployers"], check=False)
    host.run(["rm", "-rf", TOP])


@pytest.fixture
def host(users: Lab) -> LabHost:
    """h1, with a state directory of root's that holds a record."""
    host = users.hosts[0]
    run(host, f"rm -rf {TOP} /srv/else", f"install -d -m 700 {TOP} {TOP}/production {SERVICE}")
    return host


@pytest.fixture
def one(users: Lab, tmp_path: Path) -> Stage:
    """h1 as new, the only host of production."""
    at_once(host.reset for host in users.hosts)
    run(users.hosts[0], f"rm -rf {TOP}")
    stage = Stage(users, tmp_path)
    stage.write_inventory({"production": {"hosts": {"h1": None}}})
    return stage


def run(host: LabHost, *lines: str) -> str:
    """Run lines of shell on a host, as root."""
    return host.run(["sh", "-euc", "\n".join(lines)]).stdout


def link(lab: Lab, user: str = "root", top: str = TOP) -> Connection:
    """A connection of that user's."""
    hop = replace(SshConfig(lab.env["RELMAN_SSH_CONFIG"]).route("h1").endpoint, user=user)
    ssh = SshOptions(known_hosts=(lab.env["RELMAN_KNOWN_HOSTS"],))
    return connect(Host("h1", hop, state_dir=top), ssh)


def refusal(lab: Lab, user: str = "root", top: str = TOP) -> PreflightFailed:
    """What reading the record says."""
    connection = link(lab, user, top)
    try:
        with pytest.raises(PreflightFailed) as caught:
            record.read(connection, "production", "shop")
    finally:
        connection.close()
    return caught.value


FAULTS = {
    "a link": (
        f"mv {TOP}/production /srv/else && ln -s /srv/else {TOP}/production",
        f"{TOP}/production is a link",
        f"rm {TOP}/production",
    ),
    "a file that is a link": (
        f"touch /srv/else && ln -s /srv/else {SERVICE}/lock.json",
        f"{SERVICE}/lock.json is a link",
        f"rm -r {SERVICE}/lock.json",
    ),
    "a foreign owner": (
        f"chown anna: {SERVICE}",
        rf"{SERVICE} belongs to user \d+ (mode 0700), not to root",
        f"chown -R root: {SERVICE}",
    ),
    "a foreign file": (
        f"touch {SERVICE}/lock.json && chown anna: {SERVICE}/lock.json",
        rf"{SERVICE}/lock.json belongs to user \d+ (mode 0644)",
        f"chown -R root: {SERVICE}/lock.json",
    ),
    "for everybody to write": (
        f"chmod 777 {TOP}",
        f"{TOP} is writable by everyone (root, mode 0777)",
        f"chmod go-w {TOP}",
    ),
    "for a group to write": (
        f"chmod 770 {TOP}/production",
        f"{TOP}/production is writable by its group 0 (root, mode 0770)",
        f"chmod g-w {TOP}/production",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_may_not_be_trusted_is_refused_until_it_is_mended(users: Lab, host: LabHost, name: str) -> None:
    """Host, path, owner and mode are named, and the command that the hint types out mends it."""
    spoil, said, mend = FAULTS[name]
    run(host, spoil)
    error = refusal(users)
    assert re.search(re.escape(said).replace(r"\\d\+", r"\d+"), str(error)), str(error)
    assert (error.host, error.hint.endswith(f": {mend}")) == ("h1", True), error.hint
    run(host, mend)
    connection = link(users)
    try:
        assert record.read(connection, "production", "shop") == HostRecord("shop", "production")
    finally:
        connection.close()


def test_a_directory_that_everybody_may_write_to_is_no_place(users: Lab, host: LabHost) -> None:
    """Below /tmp (mode 1777) nothing is kept, and relman does not advise to change /tmp; nor behind a link, whose real
    path is typed out."""
    run(host, "rm -rf /tmp/state && install -d -m 700 /tmp/state")
    error = refusal(users, top="/tmp/state")  # noqa: S108
    assert "/tmp is writable by everyone (root, mode 1777)" in str(error)  # noqa: S108
    assert "chmod" not in error.hint
    run(host, f"ln -sfn {TOP} /srv/else")
    error = refusal(users, top="/srv/else")
    assert ("/srv/else is a link" in str(error), error.hint.endswith(f": {TOP}")) == (True, True)


@pytest.mark.parametrize("server", ["internal-sftp", "/usr/lib/openssh/sftp-server"])
def test_the_user_s_own_directory_is_trusted_and_no_other_user_s(users: Lab, host: LabHost, server: str) -> None:
    """Whoever signs in, by either of OpenSSH's SFTP servers: relman knows what is theirs."""
    run(host, f"chown -R anna: {TOP}")
    with host.sshd(f"Subsystem sftp {server}"):
        connection = link(users, "anna")
        try:
            record.write(connection, HostRecord("shop", "production"))
            assert not location.place(connection, "production", "shop").team
        finally:
            connection.close()
        run(host, f"chmod -R a+rX {TOP}")
        assert "belongs to user" in str(refusal(users, "bert"))
        assert "not to root or bert" in str(refusal(users, "bert"))
    assert run(host, f"stat -c %a:%U {SERVICE}/record.json").strip() == "644:anna"


def test_a_team_deploys_in_turns(one: Stage) -> None:
    """A directory of one user's becomes a team's as the reference says it; each of two users goes on where the other
    one stopped, and what they write has the group and is for nobody else."""
    h1 = one.lab.hosts[0]
    run(h1, f"install -d -m 700 -o anna {TOP}")
    _as(one, "anna")
    one.deploy("1")
    _as(one, "bert")
    assert f"h1: {TOP} belongs to user" in one.deploy("2", code=4).err
    reference = (ROOT / "docs/reference/inventories.md").read_text()
    run(h1, *re.findall(r"^(?:chown -R|find) .*$", reference.replace("/var/lib/relman", TOP), re.MULTILINE))
    for user, tag in (("bert", "2"), ("anna", "3")):
        _as(one, user)
        one.deploy(tag)
    _as(one, "bert")
    one.rollback()
    assert h1.http(8080, "/version").text == "2\n"
    found = run(h1, f"find {TOP} -mindepth 1 -printf '%y %m %g\\n' | sort -u")
    assert found == "d 2770 deployers\nf 660 deployers\n"
    assert run(h1, f"stat -c %U {TOP}/production/demo {TOP}/production/demo/record.json") == "root\nbert\n"
    run(h1, f"chown bert:bert {TOP}/production/demo/record.json")
    _as(one, "anna")
    said = one.deploy("1", code=4).err
    assert f"h1: {TOP}/production/demo/record.json belongs to user" in said
    assert "(mode 0660)" in said


def _as(stage: Stage, user: str) -> None:
    tree = yaml.safe_load(stage.inventory.read_text())
    tree["all"]["hosts"]["h1"] |= {"ansible_user": user, "relman_state_dir": TOP}
    stage.inventory.write_text(yaml.safe_dump(tree))


def test_a_state_directory_that_the_user_cannot_make(one: Stage) -> None:
    """Neither missing nor somebody else's ends in an error of relman's own; what the hint types out is enough."""
    _as(one, "anna")
    said = one.deploy("1", code=4).err
    assert f"h1: {TOP} may not be read or written by anna" in said
    planned = one.any("deploy", "1", "-e", "production", "--plan")
    assert (planned.code, planned.err) == (4, said)
    command = re.search(r"on the host: sudo (install .*?);", said)
    assert command, said
    h1 = one.lab.hosts[0]
    h1.run(shlex.split(command[1]))
    one.deploy("1")
    assert run(h1, f"stat -c %a:%U {TOP} {TOP}/production/demo/record.json") == "700:anna\n600:anna\n"
    _as(one, "bert")
    said = one.any("status", "-e", "production").text
    assert f"{TOP} belongs to user" in said
    assert "(mode 0700), not to root or bert" in said


def test_what_a_newer_relman_wrote_is_refused_by_name(one: Stage) -> None:
    """Its lock is not "locked by somebody", and its record is not guessed; nothing is changed."""
    one.deploy("1")
    directory = "/var/lib/relman/production/demo"
    h1 = one.lab.hosts[0]
    kept = run(h1, f"cat {directory}/record.json")
    run(h1, f'sed -i \'s/"version": 1/"version": 3/\' {directory}/record.json')
    said = one.deploy("2", code=4).err
    assert f"h1: {directory}/record.json: it was written by a newer relman" in said
    h1.run(["tee", f"{directory}/record.json"], stdin=kept)
    h1.run(["tee", f"{directory}/lock.json"], stdin='{"version": 3}')
    for code, command in ((4, ("deploy", "2", "-e", "production", "--yes")), (11, ("status", "-e", "production"))):
        said = one.relman(*command, code=code).text
        assert f"{directory}/lock.json: it was written by a newer relman" in said
        assert "locked" not in said
    h1.run(["rm", f"{directory}/lock.json"])
    one.deploy("2")


def test_a_file_grows_at_its_end_and_is_read_from_there(users: Lab, host: LabHost) -> None:
    """What several threads append is all there, in whole lines; only as much as is asked for is read back."""
    connection = link(users)

    def add(number: int) -> None:
        for line in range(5):
            files.append(connection, "production", "grow", location.JOURNAL, f"{number}.{line}\n".encode())

    path = f"{TOP}/production/grow/{location.JOURNAL}"
    try:
        assert files.tail(connection, path, 10) is None
        at_once(lambda n=n: add(n) for n in range(4))  # type: ignore[misc]
        everything = files.tail(connection, path, 1 << 20)
        assert everything is not None
        assert sorted(everything.decode().split()) == sorted(f"{n}.{line}" for n in range(4) for line in range(5))
        assert files.tail(connection, path, 7) == everything[-7:]
        big = bytes(range(256)) * 1000
        files.append(connection, "production", "grow", location.JOURNAL, big)
        assert files.tail(connection, path, len(big)) == big
        files.replace(connection, path, f"{path}.1")
        assert files.tail(connection, path, 10) is None
    finally:
        connection.close()
    assert run(host, f"stat -c '%a %s' {path}.1").split() == ["600", str(len(everything) + len(big))]
