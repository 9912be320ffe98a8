"""What breaks while it is being deployed: the fleet ends on what it ran before, or the message says what does not."""

from __future__ import annotations

import json

import pytest

from tests.e2e.stage import ALL_AT_ONCE, DEPLOY, Stage, serves
from tests.lab.host import LabHost
from tests.lab.images import Behaviour
from tests.lab.process import until


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("exits", ["exit code 3", "no such table: users"]),
        ("sick", ["not healthy within", "404"]),
        ("dies", ["exit code 4", "lost the database"]),
    ],
)
def test_a_bad_release_goes_back_by_itself(serving: Stage, tag: str, words: list[str]) -> None:
    """A container that exits at once, never gets healthy, or dies after 5 s: one host saw it, none keeps it, and its
    last words are on the screen."""
    ended = serving.deploy(tag, code=5)
    for word in words:
        assert word in ended.text
    serving.serve("1")
    assert {row["release"] for row in serving.status()} == {"1"}
    with serving.lab.hosts[0].engine() as engine:
        assert len(engine.containers(all=True)) == 1


def test_a_first_deployment_that_fails_leaves_nothing(stage: Stage) -> None:
    """Where nothing ran before, nothing runs afterwards, and nothing stops the next deployment."""
    stage.deploy("exits", code=5)
    with stage.lab.hosts[0].engine() as engine:
        assert engine.containers(all=True) == []
    stage.deploy("1", *ALL_AT_ONCE)
    stage.serve("1")


def test_what_crashes_again_and_again_is_replaced(stage: Stage) -> None:
    """A release that was proven good and crashes since, over and over, is in nobody's way: neither the next
    deployment's, nor a rollback's."""
    stage.release("worsens", behaviour=Behaviour.WORSENS)
    at_once = ("-e", "production", "--yes", "--max-unavailable", "100%")
    stage.relman("deploy", "1", *at_once)
    for way_out in (["rollback"], ["deploy", "1"]):
        stage.relman("deploy", "worsens", *at_once)
        until(lambda: all(_crashes(host) for host in stage.lab.hosts), "all to crash again and again", 30)
        stage.relman(*way_out, *at_once)
        stage.serve("1")
        assert {row["release"] for row in stage.status()} == {"1"}


def _crashes(host: LabHost) -> bool:
    """Whether the engine waits before it starts a container for the fifth time or so."""
    with host.engine() as engine:
        return any(engine.inspect_container(c["Id"])["RestartCount"] >= 4 for c in engine.containers(all=True))


def test_a_later_host_that_fails_takes_the_earlier_ones_back(serving: Stage) -> None:
    """The second host cannot start the new container because a process took its port: the first goes back too."""
    h2 = serving.lab.hosts[1]
    serving.release("other-port", deploy={**DEPLOY, "ports": ["8081:8080"]})
    with h2.occupied(8081):
        ended = serving.deploy("other-port", code=5)
    assert "h2" in ended.err
    assert "port 8081 is in use, but by no container" in ended.err
    serving.serve("1")


@pytest.mark.parametrize(("mode", "expected"), [("halt", ["bad", "1", "1"]), ("continue", ["bad", "1", "bad"])])
def test_a_failure_halts_or_goes_on_where_that_was_chosen(serving: Stage, mode: str, expected: list[str]) -> None:
    """on_failure: halt leaves the rest alone, continue goes on; the failed host serves what it did before."""
    tag = f"chosen-{mode}"
    serving.release(tag, deploy={**DEPLOY, "ports": ["8081:8080"], "on_failure": mode, "max_unavailable": 1})
    with serving.lab.hosts[1].occupied(8081):
        serving.deploy(tag, code=6)
    now = [serves(h, 8081) if serves(h) == "-" else serves(h) for h in serving.lab.hosts]
    assert now == [tag if word == "bad" else word for word in expected]
    serving.rollback()
    serving.serve("1")


def test_a_host_that_dies_in_the_middle(serving: Stage) -> None:
    """The dead host is named, the others go back, and when it returns it serves what it did before."""
    slow = {**DEPLOY, "health": {**DEPLOY["health"], "window": "6s"}}
    serving.release("slow", deploy=slow)
    h1 = serving.lab.hosts[0]
    running = serving.start("deploy", "slow", "-e", "production", "--yes")
    running.says("waiting for health")
    h1.kill()
    ended = running.ended(90)
    assert ended.code == 11, ended.out
    assert "h1 did not answer" in ended.out
    h1.start()
    serving.relman("recover", "-e", "production")
    serving.serve("1")
    assert all(not row["notes"] for row in serving.status())


def test_a_host_rebooted_in_the_middle_serves_the_right_container(serving: Stage) -> None:
    """A reboot during the health check brings the old container back, and the deployment says that it failed."""
    slow = {**DEPLOY, "health": {**DEPLOY["health"], "window": "6s"}}
    serving.release("slow2", deploy=slow)
    running = serving.start("deploy", "slow2", "-e", "production", "--yes")
    running.says("waiting for health")
    serving.lab.hosts[0].reboot()
    assert running.ended(90).code in (5, 11)
    until(lambda: serves(serving.lab.hosts[0]) == "1", "the old release after the reboot", 20)
    serving.relman("recover", "-e", "production")
    serving.serve("1")


def test_the_registry_goes_away_after_the_pulls(serving: Stage) -> None:
    """Once every host has the image, nothing needs the registry any more."""
    slow = {**DEPLOY, "health": {**DEPLOY["health"], "window": "2s"}}
    serving.release("slow3", deploy=slow)
    running = serving.start("deploy", "slow3", "-e", "production", "--yes")
    running.says("waiting for health")
    serving.lab.registry.stop()
    assert running.ended().code == 0
    serving.serve("slow3")


def test_the_registry_goes_away_before_the_pulls_are_done(serving: Stage) -> None:
    """A pull that breaks in the middle changes nothing."""
    serving.release("large", ballast=60_000_000)
    running = serving.start("deploy", "large", "-e", "production", "--yes")
    running.says("pulling")
    serving.lab.registry.stop()
    ended = running.ended(90)
    serving.lab.registry.start()
    assert ended.code in (0, 4), ended.out
    serving.serve("1" if ended.code == 4 else "large")


def test_a_record_that_cannot_be_written(serving: Stage) -> None:
    """A disk that fills before the record is written: nobody is told that all is well, and recover finishes it."""
    h1 = serving.lab.hosts[0]
    h1.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", "/var/lib/relman"])
    try:
        serving.deploy("1")
        serving.release("slow4", deploy={**DEPLOY, "health": {**DEPLOY["health"], "window": "3s"}})
        running = serving.start("deploy", "slow4", "-e", "production", "--yes")
        running.says("h1: replacing")
        h1.run(["dd", "if=/dev/zero", "of=/var/lib/relman/ballast", "bs=1k"], check=False)
        ended = running.ended()
        assert ended.code == 7, ended.out
        assert "h1" in ended.out
        assert "relman recover" in ended.out
        h1.run(["rm", "/var/lib/relman/ballast"])
        serving.relman("recover", "-e", "production")
        serving.serve("slow4")
        assert {row["release"] for row in serving.status()} == {"slow4"}
    finally:
        h1.run(["umount", "/var/lib/relman"])


def test_two_deployments_at_once(serving: Stage) -> None:
    """Of two people who deploy at the same moment one does, and the other is told who is at it."""
    first = serving.start("deploy", "2", "-e", "production", "--yes")
    second = serving.start("deploy", "3", "-e", "production", "--yes")
    ended = [first.ended(), second.ended()]
    assert sorted(e.code for e in ended) == [0, 7], [e.out for e in ended]
    loser = next(e for e in ended if e.code == 7)
    assert "deploying demo" in loser.out
    serving.serve("2" if ended[0].code == 0 else "3")


def test_the_recap_of_a_failure_is_there_for_programs(serving: Stage) -> None:
    """--json ends with a versioned error document that says what went wrong where."""
    ended = serving.relman("--json", "deploy", "exits", "-e", "production", "--yes", code=5)
    documents = [json.loads(line) for line in ended.out.splitlines()]
    assert [d["kind"] for d in documents] == ["plan", "report", "error"]
    assert documents[-1]["code"] == 5
    assert any("no such table" in line for line in documents[-1]["details"])
