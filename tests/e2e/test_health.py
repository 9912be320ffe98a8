"""Health is the container's own: who is asked, whether anybody can be, and what happens where nobody can."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.stage import ALL_AT_ONCE, DEPLOY, Stage
from tests.lab.images import SITE, Behaviour
from tests.lab.process import patience

SOON = {"window": "0.5s", "timeout": f"{5 * patience():.0f}s"}
COMMAND = {"command": ["busybox", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/health"], **SOON}
BRIEF = {"interval": "0.2s", "timeout": "1s", "retries": 1, "start_period": "5s"}
NOTHING = ("AllowTcpForwarding no", "AllowStreamLocalForwarding no", "MaxSessions 2")


def alone(stage: Stage) -> None:
    """Let production be h1."""
    stage.write_inventory({"production": {"hosts": {"h1": None}}})


def test_what_keeps_health_from_being_asked(stage: Stage) -> None:
    """Found before anything changes, by host, with what works; no rollback is barred by it, whose health is then not
    asked, and said not to be. What is asked in the container needs no forwarding."""
    h1, h2, _ = stage.lab.hosts
    stage.release("inside", deploy={"health": COMMAND})
    stage.deploy("1", *ALL_AT_ONCE)
    stage.deploy("2", *ALL_AT_ONCE)
    with h1.sshd(*NOTHING), h2.sshd("PermitOpen 127.0.0.1:9"):
        for more in ((), ("--plan",)):
            said = stage.deploy("3", *more, code=4).err
            assert "h1: its sshd forwards no connection to 172.17.0.2:8080 (AllowTcpForwarding" in said
            assert "h2: its sshd forwards no connection to 172.17.0.2:8080" in said
            assert "h3:" not in said
            assert "health: {image: true}" in said
            assert "health: {command: [wget, -q, -O, /dev/null, 'http://127.0.0.1:8080/health']}" in said
        (stage.home / "relman.yml").write_text(f"service: demo\nregistry: r:1\ndeploy: {json.dumps(DEPLOY)}\n")
        (stage.home / "Dockerfile").write_text("FROM x\n")
        said = stage.relman("check", "-e", "production", "--hosts", code=4).out
        assert "h1, h2: health: the health of demo cannot be checked: its sshd forwards no connection" in said
        (stage.home / "relman.yml").unlink()
        assert stage.versions() == ["2"] * 3
        assert stage.relman_killed("set_restart", 3, "rollback", "-e", "production", "--yes") < 0
        assert stage.versions() == ["1", "2", "2"]
        said = stage.relman("recover", "-e", "production", "--finish").out
        assert "1: its health was not checked: its sshd forwards no connection" in said
        said = stage.rollback().text
        assert said.count("health is not checked on h2: its sshd forwards no connection") == 1
        assert said.count("its health was not checked") == 1
        assert stage.versions() == ["1"] * 3
        ended = stage.relman("status", "-e", "production", code=11)
        assert "runs, health not checked" in ended.out
        assert "the health of demo on h1 and h2 cannot be checked" in ended.err
        stage.deploy("inside")
        assert {row["health"] for row in stage.status()} == {"healthy"}
    assert stage.versions() == ["inside"] * 3


def test_whose_address_is_asked(stage: Stage) -> None:
    """Of several networks the first that is named; a Host and headers as they are given, and a redirect is an answer;
    where the host does not reach its containers, or somebody else would answer in the host's network, nobody is."""
    alone(stage)
    h1 = stage.lab.hosts[0]
    for network in (("apart", "-d", "macvlan", "-o", "parent=eth0"), ("anet",), ("znet", "--internal")):
        name, *options = network
        h1.run(["docker", "network", "create", *options, name])
    site = {"port": 8080, "path": SITE, "host": "${site:-shop.example.com}", "headers": {"X-Forwarded-Proto": "https"}}
    both = {"networks": ["znet", "anet"], "ports": []}
    stage.release("site", deploy={**both, "health": {"http": site, **SOON}})
    stage.deploy("site")
    with h1.engine() as engine:
        networks = engine.inspect_container(engine.containers()[0]["Id"])["NetworkSettings"]["Networks"]
    assert stage.status()[0]["health"] == "healthy"
    short = {"window": "0s", "timeout": "1s"}
    stage.release("other", deploy={**both, "health": {"http": {**site, "host": "example.com"}, **short}})
    said = stage.deploy("other", code=5).text
    assert f"GET http://{networks['znet']['IPAddress']}:8080{SITE} (Host: example.com): 400" in said.replace(
        ".3:", ".2:"
    )
    stage.release("apart", deploy={"networks": ["apart", "anet"], "ports": []})
    assert (
        "h1: the host does not reach the containers of its macvlan network apart" in stage.deploy("apart", code=4).err
    )
    stage.release("inside-apart", deploy={"networks": ["apart"], "ports": [], "health": COMMAND})
    stage.deploy("inside-apart")
    stage.release("here", deploy={"networks": ["host"], "ports": []})
    stage.deploy("here")
    stage.release("there", deploy={"networks": ["host"], "ports": [], "health": {"tcp": {"port": 9090}, **SOON}})
    with h1.occupied(9090):
        said = stage.deploy("there", code=5).text
    assert "its health cannot be checked: something else answers on port 9090 of the host" in said
    assert stage.versions()[0] == "here"
    stage.relman("remove", "-e", "production", "--yes")
    with h1.occupied(9090):
        said = stage.deploy("there", code=4).err
    assert "h1: something else answers on port 9090 of the host" in said


def test_the_engine_s_own_check(stage: Stage) -> None:
    """The image's HEALTHCHECK is overridden, or switched off; a command that hangs is unhealthy, and never doubled."""
    alone(stage)
    h1 = stage.lab.hosts[0]
    sick: dict[str, Any] = {"behaviour": Behaviour.SERVES_UNHEALTHY, "healthcheck": True}
    other = {"command": ["busybox", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/version"], **BRIEF}
    image = {"image": True, **SOON}
    stage.release("overridden", deploy={"health": image, "healthcheck": other}, **sick)
    stage.deploy("overridden")
    assert stage.status()[0]["health"] == "healthy"
    http = {"http": {"port": 8080, "path": "/version"}, **SOON}
    stage.release("off", deploy={"health": http, "healthcheck": False}, **sick)
    stage.deploy("off")
    with h1.engine() as engine:
        assert "Health" not in engine.inspect_container(engine.containers()[0]["Id"])["State"]
    hangs = "if test -e /hang; then exec busybox sleep 77; fi; echo checked; test ! -e /dead"
    stage.release("stuck", deploy={"health": {"command": hangs, **SOON}})
    stage.deploy("stuck")
    with h1.engine() as engine:
        id = engine.containers()[0]["Id"]
        h1.run(["docker", "exec", id, "busybox", "touch", "/hang"])
        for _ in range(2):
            assert "still runs in the container" in stage.relman("status", "-e", "production", code=12).err
        assert sum("sleep 77" in " ".join(row) for row in engine.top(id)["Processes"]) == 1
        h1.run(["docker", "exec", id, "sh", "-c", "busybox rm /hang; busybox touch /dead; busybox killall busybox"])
        ended = stage.relman("status", "-e", "production", code=12)
    assert "deploy.health.command: exit code 1: checked" in ended.err
