"""Secrets by reference: where their values come from, where on a host they are, and where nowhere."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.e2e.stage import Stage
from tests.lab.host import LabHost
from tests.lab.images import Behaviour
from tests.lab.process import until

HERE = "/var/lib/relman/production/demo"
SETS = f"{HERE}/secrets"
TASK = "test -s /run/secrets/password && echo key $API_KEY"
DEPLOY = {
    "secrets": {"password": None, "api_key": {"env": "API_KEY"}},
    "tasks": [{"name": "migrate", "command": ["sh", "-c", TASK], "rollback_safe": True}],
}


def inside(host: LabHost, *argv: str, user: str = "1234") -> str:
    """What a command prints in the container that runs."""
    with host.engine() as engine:
        (container,) = engine.containers(filters={"label": "relman.service=demo"})
        made = engine.exec_create(container["Id"], list(argv), user=user)
        return bytes(engine.exec_start(made["Id"])).decode()


def has(host: LabHost) -> tuple[str, str]:
    """The values that the process of a host finds."""
    environment = inside(host, "busybox", "cat", "/proc/1/environ", user="0").split("\0")
    return inside(host, "busybox", "cat", "/run/secrets/password"), next(
        e for e in environment if e.startswith("API_KEY=")
    )


def sh(host: LabHost, text: str) -> str:
    """What a shell on the host prints."""
    return host.run(["sh", "-c", text]).stdout


def sets(host: LabHost) -> list[str]:
    """The directories of secrets on a host."""
    return sh(host, f"ls {SETS} 2>/dev/null || true").split()


def test_a_secret_goes_along_and_back(stage: Stage) -> None:
    """A file and a variable are there for the container and its task, for any user in it, and on the host for its owner
    alone; equal values change nothing; a changed one is a rollout, named without its value; a rollback brings the old
    one back, or with --keep-secrets does not."""
    hosts, file = stage.lab.hosts, stage.home / "password"
    stage.release("secret-1", deploy=DEPLOY)
    stage.release("secret-2", deploy=DEPLOY)
    stage.write_inventory(relman_secrets={"password": {"file": "password"}, "api_key": {"variable": "THE_KEY"}})
    said = stage.deploy("secret-1", code=4).err
    assert "cannot read" in said
    assert "api_key: the variable THE_KEY is not set on this machine" in said
    assert stage.versions() == ["-"] * 3

    file.write_text("first-s3cr3t\nsecond line\n")
    key = {"THE_KEY": "key-s3cr3t"}
    out = stage.relman("deploy", "secret-1", "-e", "production", "--yes", env=key).text
    assert "s3cr3t" not in out, out
    assert "migrate: key ***" in out
    assert [has(h) for h in hosts] == [("first-s3cr3t\nsecond line\n", "API_KEY=key-s3cr3t")] * 3
    assert sh(hosts[0], f"stat -c %a {SETS} {SETS}/* {SETS}/*/*").split() == ["755", "755", "444", "444"]
    nobody = sh(hosts[0], f"setpriv --reuid 1000 --clear-groups cat {SETS}/*/password 2>&1 || true")
    assert "Permission denied" in nobody

    assert "nothing to do" in stage.relman("deploy", "secret-1", "-e", "production", "--yes", env=key).out
    file.write_text("other-s3cr3t\n")
    plan = stage.relman("deploy", "secret-1", "-e", "production", "--plan", env=key)
    assert "~ secrets.password: (not shown)" in plan.out
    assert "secrets.api_key" not in plan.out
    out = stage.relman("deploy", "secret-2", "-e", "production", "--yes", env=key).text
    assert [has(h)[0] for h in hosts] == ["other-s3cr3t\n"] * 3
    assert [len(sets(h)) for h in hosts] == [2, 2, 2]

    file.unlink()
    assert "secret-1 gets its old password back, not the current value" in stage.rollback().text
    assert stage.versions() == ["secret-1"] * 3
    assert [has(h)[0] for h in hosts] == ["first-s3cr3t\nsecond line\n"] * 3
    file.write_text("other-s3cr3t\n")
    stage.relman("deploy", "secret-2", "-e", "production", "--yes", env=key)
    assert "gets its old" not in stage.rollback("--keep-secrets").text
    assert stage.versions() == ["secret-1"] * 3
    assert [has(h)[0] for h in hosts] == ["other-s3cr3t\n"] * 3
    assert [len(sets(h)) for h in hosts] == [1, 1, 1]
    found_nowhere(stage)
    stage.relman("remove", "-e", "production", "--yes")
    assert [sh(h, "ls /var/lib/relman/production/demo") for h in hosts] == ["journal.jsonl\n"] * 3


def found_nowhere(stage: Stage) -> None:
    """The mark of the secrets is where docs/reference/inventories.md says, on hosts and here, and nowhere else."""
    for host in stage.lab.hosts:
        files = sh(host, "grep -rl s3cr3t /var/lib/relman || true").split()
        assert files
        assert all(f.startswith(f"{SETS}/") for f in files), files
        with host.engine() as engine:
            for container in engine.containers(all=True):
                seen = engine.inspect_container(container["Id"])
                assert [e for e in seen["Config"]["Env"] if "s3cr3t" in e] == ["API_KEY=key-s3cr3t"]
                seen["Config"]["Env"] = []
                assert "s3cr3t" not in json.dumps(seen)
                assert b"s3cr3t" not in engine.logs(container["Id"])
    for own in (stage.home / "data").rglob("*"):
        assert not own.is_file() or b"s3cr3t" not in own.read_bytes(), own
    for command in (("status",), ("history",), ("releases",)):
        for form in ((), ("--json",)):
            assert "s3cr3t" not in stage.any(*form, *command, "-e", "production").text


def test_a_death_between_secrets_and_container(stage: Stage) -> None:
    """Killed once the secrets lie on the host, before there is a container: nothing of them stays once it is undone,
    whatever the plan and the processes show meanwhile; and a deployment that fails takes its own along."""
    h1, file = stage.lab.hosts[0], stage.home / "password"
    stage.write_inventory(
        {"production": {"hosts": {"h1": None}}}, relman_secrets={"password": {"command": ["cat", "password"]}}
    )
    for tag, behaviour in (("kept-1", Behaviour.SERVES), ("kept-2", Behaviour.SERVES), ("kept-3", Behaviour.EXITS)):
        stage.release(tag, deploy={"secrets": {"password": None}}, behaviour=behaviour)
    file.write_text("one-s3cr3t")
    stage.deploy("kept-1")
    file.write_text("two-s3cr3t")
    assert "s3cr3t" not in stage.relman("--json", "deploy", "kept-2", "-e", "production", "--plan").text
    with stage.held("create", h1, "deploy", "kept-2", "-e", "production", "--yes") as running:
        assert len(sets(h1)) == 2
        assert "s3cr3t" not in "".join(p.read_text() for p in Path("/proc").glob("[0-9]*/cmdline"))
        assert "s3cr3t" not in sh(h1, f"cat {HERE}/lock.json {HERE}/record.json")
        running.send(signal.SIGKILL)
        running.ended()
    assert stage.versions()[0] == "kept-1"
    stage.relman("recover", "-e", "production")
    assert stage.versions()[0] == "kept-1"
    assert len(sets(h1)) == 1
    said = stage.deploy("kept-3", code=5).text
    assert "s3cr3t" not in said
    assert len(sets(h1)) == 1
    assert inside(h1, "busybox", "cat", "/run/secrets/password") == "one-s3cr3t"
    stage.deploy("kept-2")
    assert inside(h1, "busybox", "cat", "/run/secrets/password") == "two-s3cr3t"
    h1.reboot()
    until(lambda: stage.versions()[0] == "kept-2", "kept-2 after the reboot", 30)
    assert inside(h1, "busybox", "cat", "/run/secrets/password") == "two-s3cr3t"
    sh(h1, f"grep -rlZ one-s3cr3t {SETS} | xargs -0 rm")
    assert "the host has lost secrets of kept-1: password" in stage.rollback(code=5).err
    assert stage.versions()[0] == "kept-2"
