"""relman itself is stopped or killed: the fleet is consistent, or the next command makes it so."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.e2e.stage import DEPLOY, ROOT, Stage
from tests.lab.process import until

_SENT_AGAIN = 4.0  # seconds: TCP tries again after 0.2, 0.4, 0.8 and 1.6 s
SLOW = {**DEPLOY, "health": {**DEPLOY["health"], "window": "4s"}}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["pulling", "creating", "h1: waiting for health", "h2: waiting for health"])
def test_a_signal_at_each_phase_leaves_every_host_on_one_release(
    serving: Stage, phase: str, number: signal.Signals
) -> None:
    """Ctrl-C starts no new host and puts back what had changed; no lock stays."""
    tag = f"stop-{phase.replace(' ', '-').replace(':', '')}-{number.name.lower()}"
    serving.release(tag, deploy=SLOW, ballast=5_000_000)
    running = serving.start("deploy", tag, "-e", "production", "--yes")
    running.says(phase)
    running.send(number)
    ended = running.ended(20)
    assert ended.code == 130, ended.out
    serving.serve("1")
    serving.deploy("2")
    serving.serve("2")


@pytest.mark.parametrize(
    ("method", "count", "why"),
    [
        ("start", 1, "inside the gap of the first host"),
        ("start", 2, "inside the gap of the second host, the first changed"),
        ("create", 1, "before anything was made"),
        ("stop", 1, "with the new container made, the old one running"),
        ("set_restart", 3, "with the new container verified, not yet proof against a reboot"),
    ],
)
def test_a_kill_is_healed_by_the_next_command(serving: Stage, method: str, count: int, why: str) -> None:
    """SIGKILL at a boundary: the next command starts what serves nothing, says so, and wants it resolved first;
    recover resolves it, and nothing is left behind."""
    killed = serving.relman_killed(method, count, "deploy", "2", "-e", "production", "--yes")
    assert killed == -signal.SIGKILL, why
    said = serving.deploy("3", code=7)
    assert "relman recover" in said.text
    until(lambda: "-" not in serving.versions(), f"every host serves something: {serving.versions()}", 15)
    serving.relman("recover", "-e", "production")
    serving.serve("1")
    assert all(not row["notes"] for row in serving.status())
    for host in serving.lab.hosts:
        with host.engine() as engine:
            assert len(engine.containers(all=True)) == 1
    serving.deploy("3")
    serving.serve("3")


@pytest.mark.parametrize("count", [1, 3])
def test_a_kill_while_recording_is_finished_by_recover(serving: Stage, count: int) -> None:
    """When every host already runs the new release, recorded or not, recover finishes the deployment and proves it
    good."""
    killed = serving.relman_killed("record", count, "deploy", "2", "-e", "production", "--yes")
    assert killed == -signal.SIGKILL
    serving.relman("recover", "-e", "production")
    serving.serve("2")
    assert {row["rollback"] for row in serving.status()} == {"1"}


def test_status_tells_of_an_interrupted_deployment(serving: Stage) -> None:
    """Whoever looks sees which host was interrupted, by whom, and what to do."""
    serving.release("slow-status", deploy=SLOW)
    running = serving.start("deploy", "slow-status", "-e", "production", "--yes")
    running.says("waiting for health")
    running.send(signal.SIGKILL)
    running.ended()
    ended = serving.relman("status", "-e", "production", code=7)
    assert "interrupted: " in ended.text
    assert "was deploying demo slow-status" in ended.text
    serving.relman("recover", "-e", "production")
    serving.serve("1")
    serving.relman("status", "-e", "production")


def test_nothing_reaches_a_host_after_its_sender_died(stage: Stage) -> None:
    """A change that was on its way to a host without a cable does not arrive when the cable is back: others may be at
    work there by then."""
    host = stage.lab.hosts[0]
    argv = [sys.executable, "-m", "tests.e2e.late", host.name, "/root/late"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=stage.env, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as sender:
        assert sender.stdin
        assert sender.stdout
        assert sender.stdout.readline() == "ready\n"
        host.cut()
        sender.stdin.write("now\n")
        sender.stdin.flush()
        assert sender.wait(10) == -signal.SIGKILL
    host.mend()
    time.sleep(_SENT_AGAIN)
    assert not host.path("/root/late").exists()
