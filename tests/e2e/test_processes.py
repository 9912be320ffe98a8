"""A release of several processes: its containers change together and go back together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.stage import Stage
from tests.lab.host import LabHost
from tests.lab.process import until

IDLE = ["busybox", "sh", "-c", "echo at work; exec sleep 1000"]
QUIET = {"command": IDLE, "health": {"none": True, "window": "0.5s"}, "ports": []}
PROCESSES: Mapping[str, Any] = {
    "web": {},
    "worker": {**QUIET, "replicas": "${workers:-2}"},
    "scheduler": {**QUIET, "order": "stop-first", "max_hosts": 1},
}
WEB = {"web": 1, "worker": 2}
JOBS = {"worker": 1, "scheduler": 1}
MEANT = [WEB, WEB, JOBS]


@pytest.fixture
def kinds(stage: Stage) -> Stage:
    """h1 and h2 serve, h3 works; a release without processes is there already."""
    stage.deploy("1")
    stage.write_inventory(
        {
            "production": {
                "children": {
                    "web": {
                        "hosts": {"h1": None, "h2": None},
                        "vars": {"relman_processes": {"demo": ["web", "worker"]}},
                    },
                    "jobs": {
                        "hosts": {"h3": None},
                        "vars": {"relman_processes": {"demo": {"worker": 1, "scheduler": 1}}},
                    },
                },
            }
        }
    )
    for tag in ("several-1", "several-2"):
        stage.release(tag, deploy={"processes": PROCESSES})
    ends = {**PROCESSES["worker"], "command": ["busybox", "sh", "-c", "echo no queue >&2; exit 3"]}
    stage.release("several-ends", deploy={"processes": {**PROCESSES, "worker": ends}})
    return stage


def running(host: LabHost) -> list[dict[str, Any]]:
    """The containers of the service that run there."""
    with host.engine() as engine:
        return list(engine.containers(filters={"label": "relman.service=demo"}))


def counts(stage: Stage) -> list[dict[str, int]]:
    """How many containers of each process every host runs."""
    return [dict(Counter(c["Labels"].get("relman.process", "") for c in running(h))) for h in stage.lab.hosts]


def releases(stage: Stage) -> set[str]:
    """The releases of all containers that run."""
    return {c["Labels"]["relman.release"] for h in stage.lab.hosts for c in running(h)}


def ids(stage: Stage) -> list[set[str]]:
    """The containers that every host runs."""
    return [{c["Id"] for c in running(h)} for h in stage.lab.hosts]


def test_a_set_changes_fails_and_returns_as_one(kinds: Stage) -> None:
    """Each host runs what the inventory gives it; where one process fails all go back, to the very containers; and from
    a release without processes there is a way, and back. What a death leaves is in tests/soak/crash_table.py."""
    assert "the release has none" in kinds.deploy("2", code=2).err
    plan = kinds.relman("deploy", "several-1", "-e", "production", "--plan").out
    assert "processes on h1, h2: web 1, worker 2" in plan
    assert "processes on h3: worker 1, scheduler 1" in plan
    kinds.deploy("several-1")
    assert counts(kinds) == MEANT
    assert kinds.versions()[:2] == ["several-1"] * 2
    plan = kinds.relman("deploy", "several-2", "-e", "production", "--plan").out
    assert "web stop-first: both take port 8080; worker start-first" in plan
    assert "scheduler stop-first: order: stop-first; worker start-first" in plan
    kinds.deploy("several-2")
    assert (counts(kinds), releases(kinds)) == (MEANT, {"several-2"})
    health = {row["host"]: row["health"] for row in kinds.status()}
    assert health["h1"] == health["h2"] == "healthy: web 1/1, worker 2/2"
    assert health["h3"] == "running: worker 1/1, scheduler 1/1"

    before = ids(kinds)
    said = kinds.deploy("several-ends", code=5).text
    assert "the new container of worker.1 has ended" in said
    assert "no queue" in said
    assert ids(kinds) == before

    kinds.rollback()
    assert (counts(kinds), releases(kinds)) == (MEANT, {"several-1"})
    kinds.rollback("--to", "1")
    assert counts(kinds) == [{"": 1}] * 3
    kinds.serve("1")


def test_what_lacks_is_named_and_started_again(kinds: Stage) -> None:
    """A process of which nothing runs makes a host one that does not serve (exit code 10), one container of several is
    drift (7); each with its name and what to type; logs are those of all, each line with its container. A
    restart leaves as many of each as before, and a command runs in the process that is named."""
    kinds.deploy("several-1")
    kinds.deploy("several-2")
    h1, h3 = kinds.lab.hosts[0], kinds.lab.hosts[2]
    scheduler = next(c for c in running(h3) if c["Labels"]["relman.process"] == "scheduler")
    with h3.engine() as engine:
        engine.stop(scheduler["Id"])
    ended = kinds.relman("status", "-e", "production", code=10)
    assert "h3 runs demo without scheduler" in ended.text
    assert f"docker start {scheduler['Names'][0].strip('/')}" in ended.text
    with h3.engine() as engine:
        engine.start(scheduler["Id"])
    worker = next(c for c in running(h1) if c["Labels"]["relman.process"] == "worker")
    with h1.engine() as engine:
        engine.stop(worker["Id"])
    ended = kinds.relman("status", "-e", "production", code=8)
    assert "web 1/1, worker 1/2" in ended.text
    kinds.deploy("several-2", "--only", "h1")
    assert counts(kinds) == MEANT
    kinds.status()
    kinds.relman("restart", "-e", "production", "--yes")
    assert counts(kinds) == MEANT
    for process in ("web", "worker"):
        kinds.relman("exec", "-e", "production", "--process", process, "--", "sh", "-c", "exit 9", code=9)
    assert [
        e["what"] for e in json.loads(kinds.relman("history", "-e", "production", "-n", "2", "--json").out)["entries"]
    ] == ["ran a command in"] * 2

    def at_work() -> list[str]:
        lines = kinds.relman("logs", "-e", "production", "--process", "worker").out.splitlines()
        return [line.split("  ")[0] for line in lines]

    until(lambda: len(at_work()) >= 5, "a line of each worker")
    assert set(at_work()) == {
        "h1 worker.1",
        "h1 worker.2",
        "h2 worker.1",
        "h2 worker.2",
        "h3 worker.1",
    }


def test_bad_choices_of_processes_change_nothing(kinds: Stage) -> None:
    """A process that the release does not have, a host with none of its own, one on more hosts than it may be."""
    kinds.deploy("several-1")
    before = ids(kinds)
    hosts: dict[str, None] = {"h1": None, "h2": None, "h3": None}

    def production(processes: Any) -> None:
        kinds.write_inventory({"production": {"hosts": hosts, "vars": {"relman_processes": {"demo": processes}}}})

    production(["web", "wurker"])
    assert (
        "relman_processes names wurker, and the release has web, worker, scheduler"
        in kinds.deploy("several-2", code=2).err
    )
    production([])
    assert "relman_processes gives this host none of them" in kinds.deploy("several-2", code=2).err
    del hosts["h3"]
    production(["web", "worker"])
    ended = kinds.relman("status", "-e", "production")
    assert "h3 is no longer in production, and demo may still run there: h1, h2 know it from the deploy" in ended.err
    assert "relman remove -e production --only h3" in ended.err
    said = json.loads(kinds.relman("--json", "status", "-e", "production", "--only", "h1").out)
    assert [(row["host"], row["says"]) for row in said["departed"]] == [("h3", ["h1"])]
    hosts["h3"] = None
    production(["scheduler"])
    assert (
        "scheduler may run on 1 host, and the inventory gives it to h1, h2, h3" in kinds.deploy("several-2", code=4).err
    )
    assert ids(kinds) == before
