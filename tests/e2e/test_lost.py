"""A connection that is lost to a host that lives: sshd was restarted, its process ended, a router forgot the flow."""

from __future__ import annotations

import json

from tests.e2e.stage import DEPLOY, Stage
from tests.e2e.wayout import P
from tests.lab.host import LabHost
from tests.lab.process import until

LOCK = "/var/lib/relman/production/demo/lock.json"
SLOW = {"health": {**DEPLOY["health"], "window": "3s"}}


def lose(host: LabHost) -> None:
    """End the processes of sshd's connections; it goes on to listen."""
    host.run(["sh", "-c", "pkill -KILL -P $(cat /run/sshd.pid)"])


def test_a_deployment_goes_on_when_a_connection_is_lost(serving: Stage) -> None:
    """While the new container is waited for, and before each kind of change: it is opened again, and the deployment
    succeeds, also where sshd needs a moment to come back."""
    h1, h2 = serving.lab.hosts[:2]
    serving.release("slow-lost", deploy=SLOW)
    running = serving.start("deploy", "slow-lost", *P, "--yes")
    running.says("h1: waiting for health")
    until(lambda: h1.http(8080, "/version").text.strip() == "slow-lost", "the new release")
    lose(h1)
    ended = running.ended()
    assert ended.code == 0, ended.text
    serving.serve("slow-lost")
    for tag, method, host in (("2", "create", h1), ("3", "stop", h1), ("1", "set_restart", h2), ("2", "start", h2)):
        with serving.held(method, host, "deploy", tag, *P, "--yes") as running:
            host.run(["pkill", "-F", "/run/sshd.pid"])
            host.run(["pkill", "-KILL", "-x", "sshd"], check=False)
            host.run(["sh", "-c", "(sleep 1; exec /usr/sbin/sshd) >/dev/null 2>&1 &"])
        ended = running.ended()
        assert ended.code == 0, (method, ended.text)
        serving.serve(tag)
    serving.relman("status", *P)


def test_whose_lock_was_taken_meanwhile_changes_nothing_more(serving: Stage) -> None:
    """The connection is opened again, the lock is somebody else's: the step ends there, and the other's lock stays."""
    h1 = serving.lab.hosts[0]
    with serving.held("stop", h1, "deploy", "2", *P, "--yes") as running:
        lock = json.loads(h1.path(LOCK).read_text()) | {"token": "another's"}
        h1.path(LOCK).write_text(json.dumps(lock))
        lose(h1)
    ended = running.ended()
    assert ended.code != 0, ended.text
    assert "the lock is no longer ours" in ended.text
    assert json.loads(h1.path(LOCK).read_text())["token"] == "another's"
    serving.serve("1")
