"""What `relman status` says of real hosts in every state: its exit code, and a command that is the way out of it."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.e2e.stage import ALL_AT_ONCE, DEPLOY, Stage, serves
from tests.e2e.wayout import P, hint, walk
from tests.lab.process import until

NAME = "$(docker ps -q --filter label=relman.service=demo)"


def sh(command: str) -> Callable[[Stage], object]:
    """A command on h2."""

    def do(stage: Stage) -> None:
        stage.lab.hosts[1].run(["sh", "-c", command])

    return do


HANG = f"kill -STOP $(docker inspect -f '{{{{.State.Pid}}}}' {NAME})"
BY_HAND = "docker run -d --label relman.service=demo --label relman.environment=production"
IMAGE_OF_1 = "$(docker images -q relman.kept/production/demo | tail -1)"
RECORD = "/var/lib/relman"
ENGINE_FIRST = "if it is docker-proxy: systemctl restart docker"

STATES: list[tuple[Callable[[Stage], object], int, str]] = [
    (sh(f"docker pause {NAME}"), 12, "on h2: docker unpause"),
    (sh(HANG), 12, "on h2: docker restart"),
    (sh(f"docker stop -t 1 {NAME}"), 10, "on h2: docker start"),
    (sh(f"docker rm -f {NAME}"), 10, "relman deploy 2 -e production --only h2"),
    (sh(f"docker rm -f {NAME}; rm -r {RECORD}"), 10, "relman deploy 2 -e production --only h2"),
    (sh(f"rm -r {RECORD}"), 8, "relman deploy 2 -e production --only h2"),
    (
        sh(f"docker rm -f {NAME}; {BY_HAND} -p 8080:8080 {IMAGE_OF_1}"),
        8,
        "relman deploy 2 -e production --only h2",
    ),
    (sh(f"{BY_HAND} {IMAGE_OF_1}"), 8, "relman deploy 2 -e production --only h2"),
    (
        sh(f"docker stop -t 1 {NAME}; docker run -d --name stranger -p 8080:8080 {IMAGE_OF_1}"),
        10,
        "on h2: docker stop stranger && docker start",
    ),
    (lambda stage: stage.deploy("3", "--only", "h2"), 6, "relman deploy 3 -e production"),
]


def test_each_state_has_a_code_and_a_way_out(stage: Stage) -> None:
    """Nothing deployed; one host paused, hung, stopped by hand, emptied, reinstalled, without its record, on another
    image, doubled, robbed of its port, on another release: the command that status types out ends each."""
    assert hint(stage, 10).startswith("relman deploy TAG -e production (")
    stage.deploy("1", *ALL_AT_ONCE)
    two_serves(stage)
    for do, code, way_out in STATES:
        do(stage)
        assert walk(stage, code, "3" if code == 6 else "2").startswith(way_out), way_out


def two_serves(stage: Stage) -> None:
    """Release 2 serves everywhere, in the place of the one before."""
    stage.deploy("2", *ALL_AT_ONCE)
    stage.serve("2")


def test_a_sick_release_is_left_by_a_rollback(stage: Stage) -> None:
    """Where it hangs on every host, no restart is advised."""
    stage.deploy("1", *ALL_AT_ONCE)
    two_serves(stage)
    for host in stage.lab.hosts:
        host.run(["sh", "-c", HANG])
    assert walk(stage, 12, "1") == "relman rollback -e production"


def test_an_interrupted_deployment_is_recovered_from_whatever_serves(stage: Stage) -> None:
    """Also where a host serves nothing since, which is the graver code, recover is what is advised."""
    stage.deploy("1", *ALL_AT_ONCE)
    assert stage.relman_killed("start", 2, "deploy", "2", *P, "--yes") == -signal.SIGKILL
    assert walk(stage, 10, "1") == "relman recover -e production"
    assert stage.relman_killed("set_restart", 3, "deploy", "2", *P, "--yes") == -signal.SIGKILL
    assert walk(stage, 7, "1") == "relman recover -e production"


def test_hosts_that_do_not_answer_are_unknown_and_may_be_forgiven(stage: Stage) -> None:
    """A host that is off, and one without its engine: 11, unless so many are tolerated; what is graver never is."""
    stage.deploy("1", *ALL_AT_ONCE)
    h2, h3 = stage.lab.hosts[1:]
    h3.kill()
    assert "is h3 up" in hint(stage, 11)
    said = stage.relman("status", *P, "--max-unhealthy", "1")
    assert "what runs on h3 is not known" in said.err
    stage.relman("status", *P, "--max-unhealthy", "34%")
    stage.relman("status", *P, "--max-unhealthy", "33%", code=11)
    for nonsense in ("-1", "0", "x", "101%", "1.5"):
        stage.relman("status", *P, "--max-unhealthy", nonsense, code=2)
    h2.stop_engine()
    assert "systemctl status docker" in stage.relman("status", *P, "--max-unhealthy", "1", code=11).err
    h2.start_engine()
    until(lambda: serves(h2) == "1", "h2 to serve again", 20)
    h2.run(["sh", "-c", f"docker stop -t 1 {NAME}"])
    stage.relman("status", *P, "--max-unhealthy", "100%", code=10)


@pytest.mark.parametrize("ports", [DEPLOY["ports"], []], ids=["stop first", "start first"])
def test_a_paused_container_is_not_deployed_over_and_never_doubled(stage: Stage, ports: list[str]) -> None:
    """A deployment names it and both ways out, a rollback replaces it: one container then runs on each host, and none
    that stands still is left."""
    first, second, third = (f"{tag}-{len(ports)}" for tag in ("a", "b", "c"))
    for tag in (first, second, third):
        stage.release(tag, deploy={**DEPLOY, "ports": ports})
    stage.deploy(first, *ALL_AT_ONCE)
    stage.deploy(second, *ALL_AT_ONCE)
    h2 = stage.lab.hosts[1]
    h2.run(["sh", "-c", f"docker pause {NAME}"])
    said = stage.deploy(third, code=4).err
    assert "h2: demo-production-" in said
    assert "is paused: resume it there with docker unpause demo-production-" in said
    assert "relman rollback -e production replaces it" in said
    stage.rollback()
    assert {row["release"] for row in stage.status()} == {first}
    for host in stage.lab.hosts:
        with host.engine() as engine:
            assert [c["State"] for c in engine.containers()] == ["running"]
    assert "paused" not in stage.relman("status", *P).text


def test_a_port_that_docker_keeps_for_nobody_is_told(stage: Stage) -> None:
    """As after a power cut in the gap: neither container gets the port, and no container has it. The way out names it
    and then recover; status and recover do not send the reader to each other."""
    stage.deploy("1", *ALL_AT_ONCE)
    h1 = stage.lab.hosts[0]
    proxy = "docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.99 -container-port 8080"
    try:
        with stage.held("start", h1, "deploy", "2", *P, "--yes") as running:
            h1.run(["sh", "-c", f"{proxy} >/dev/null 2>&1 3>/dev/null &"])
            until(lambda: h1.listens(8080), "the port to be held")
        ended = running.ended()
        assert ended.code == 10, ended.out
        assert "port 8080 is in use, but by no container" in ended.out
        assert f"{ENGINE_FIRST}; then: relman recover -e production" in ended.out
        assert hint(stage, 10) == "relman recover -e production"
        again = stage.relman("recover", *P, code=10).err
        assert f"{ENGINE_FIRST}; then: relman recover -e production" in again
    finally:
        h1.run(["pkill", "docker-proxy"])
    assert walk(stage, 10, "1") == "relman recover -e production"
