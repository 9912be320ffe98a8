"""What `relman status` makes of one host and of a fleet: no host is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from relman.cli.output.plan_view import also_on
from relman.hosts.health_probe import ProbeResult
from relman.model.container import (
    DEPLOYMENT,
    ENVIRONMENT,
    MANIFEST,
    RELEASE,
    SERVICE,
    TASK,
    Container,
    Copy,
    EngineFacts,
    Listed,
)
from relman.model.errors import Conclusion, Drift, NotServing
from relman.model.image import Platform
from relman.model.plan import Observed
from relman.model.settings import Binding
from relman.model.state_dir.lock import FoundLock, Intent, Lock, Phase
from relman.model.state_dir.record import Deployed, HostRecord
from relman.rollout.looking.advice import CommandScope
from relman.rollout.looking.condition import Condition
from relman.rollout.looking.status import HostStatus, summarise
from relman.rollout.looking.verdict import findings, verdict
from tests.unit.values import deployed

FACTS = EngineFacts("20.10", Platform("linux", "amd64"), containerd_store=False, clock=0.0)
OLD, NEW = deployed("d1", release="1"), deployed("d2", release="2")


def container(entry: Deployed, status: str = "running") -> Container:
    """The container that a deployment made."""
    labels = {DEPLOYMENT: entry.id, RELEASE: entry.release, MANIFEST: str(entry.manifest)}
    return Container(entry.container, f"shop-production-{entry.id}", entry.image_id, status, labels=labels)


def lock(phase: Phase = Phase.CHANGING, *, age: float = 1.0, reused: bool = False) -> FoundLock:
    """The lock of somebody on another machine who deploys 2 in the place of 1."""
    intent = Intent(OLD.container, "always", container(NEW).name, NEW, stop_first=True, reused=reused)
    held = Lock("ada@box", "elsewhere", 1, "t", NEW.id, "deploying shop 2", 60.0, phase, since="2026-01-01T00:00:00Z")
    return FoundLock(replace(held, intent=None if phase in (Phase.HELD, Phase.REMOVING) else intent), age)


def status(found: FoundLock | None, *containers: Container, well: bool = True, entry: Deployed = OLD) -> HostStatus:
    """The row of a host that remembers `entry`."""
    record = HostRecord("shop", "production", (entry,), entry.id)
    answer = ProbeResult(True, "healthy") if well else ProbeResult(False, "GET /health: no answer")
    return summarise(
        Observed("h1", FACTS, record, found, containers), "shop", {c.id: answer for c in containers}, "here"
    )


def judged(rows: Sequence[HostStatus]) -> type[Conclusion] | None:
    """What decides the exit code of `relman status`."""
    place = CommandScope("production", frozenset({"shop"}), frozenset(r.host for r in rows))
    found = verdict(findings(rows, place))
    return found.kind if found else None


@pytest.mark.parametrize(
    ("found", "containers"),
    [
        (lock(Phase.HELD), [container(OLD)]),
        (lock(), [container(NEW), container(OLD, "exited")]),
        (lock(), [container(NEW), container(OLD)]),
        (lock(), [container(NEW, "created"), container(OLD, "exited")]),
        (lock(reused=True), [container(NEW, "exited"), container(OLD, "exited")]),
        (lock(Phase.RETURNING), [container(NEW, "exited"), container(OLD, "exited")]),
        (lock(Phase.REMOVING), []),
    ],
    ids=["its turn to come", "replaced", "both", "in the gap", "in the gap of a rollback", "going back", "removed"],
)
def test_what_a_live_deployment_explains_is_no_drift(found: FoundLock, containers: list[Container]) -> None:
    """While its holder lives, what the lock intends is not held against the host: it is said by whom and since when."""
    row = status(found, *containers)
    assert judged([row]) is None
    assert len(row.notes) == 1
    assert "by ada@box since 2026-01-01T00:00:00Z: deploying shop 2" in row.notes[0]


def test_while_it_is_deployed_a_fleet_of_two_releases_is_not_mixed() -> None:
    """A deployment under way has not reached every host yet: nobody has to decide anything."""
    rows = [status(lock(), container(NEW)), status(lock(Phase.HELD), container(OLD))]
    assert {r.release for r in rows} == {"1", "2"}
    assert judged(rows) is None


def test_what_it_does_not_explain_still_counts() -> None:
    """A stranger's container, a new container that died, and a host that was dark before its turn are what they are."""
    foreign = replace(container(NEW), id="f", name="by-hand")
    assert judged([status(lock(), foreign)]) is Drift
    assert judged([status(lock(), container(NEW, "exited"), container(OLD, "exited"))]) is NotServing
    assert judged([status(lock(Phase.HELD), container(OLD, "exited"))]) is NotServing


def test_a_dead_holder_explains_nothing() -> None:
    """What it left is an interrupted deployment, and drift."""
    row = status(lock(age=61.0), container(NEW))
    assert (row.interrupted, row.drift) == (True, True)


def test_the_digest_is_that_of_what_runs_and_the_record_is_told_where_it_differs() -> None:
    """Release and digest of a row belong together: both are the running container's."""
    row = status(None, container(NEW))
    assert (row.release, row.manifest, row.drift) == ("2", str(NEW.manifest), True)
    assert OLD.manifest.short in row.why
    assert NEW.manifest.short in row.why
    assert (row.recorded_release, row.recorded_manifest) == ("1", str(OLD.manifest))
    dark = status(None, container(OLD, "exited"))
    assert (dark.release, dark.manifest) == ("1", str(OLD.manifest))


CURRENT = replace(container(OLD), restart_policy="always")
TWIN = replace(CURRENT, id="f", name="twin", labels={DEPLOYMENT: "d0"})


@pytest.mark.parametrize(
    ("containers", "well", "state", "why"),
    [
        ([CURRENT], True, Condition.WELL, ""),
        ([CURRENT], False, Condition.UNHEALTHY, "no answer"),
        ([replace(CURRENT, status="paused")], True, Condition.PAUSED, "is paused"),
        ([replace(CURRENT, status="exited", exit_code=137)], True, Condition.STOPPED, "stopped by hand"),
        ([replace(CURRENT, status="exited", restart_policy="no", exit_code=4)], True, Condition.ENDED, "exit code 4"),
        ([replace(CURRENT, status="exited", error="port is taken")], True, Condition.STOPPED, "could not be started"),
        ([replace(CURRENT, status="created")], True, Condition.STOPPED, "never started"),
        ([replace(CURRENT, status="restarting", exit_code=5)], True, Condition.CRASHING, "exit code 5"),
        ([replace(CURRENT, restart_count=3, started_at="1969-12-31T23:59:30Z")], False, Condition.CRASHING, "again"),
        ([replace(CURRENT, restart_count=3, started_at="1969-12-31T23:59:30Z")], True, Condition.UNHEALTHY, "crashed"),
        (
            [replace(CURRENT, restart_count=1, started_at="1969-12-31T23:59:30Z")],
            True,
            Condition.UNHEALTHY,
            "(restarted once)",
        ),
        (
            [replace(CURRENT, status="restarting", exit_code=5, restart_count=2)],
            True,
            Condition.CRASHING,
            "(exit code 5, restarted 2 times)",
        ),
        ([replace(CURRENT, restart_count=3, started_at="1969-12-31T23:50:00Z")], True, Condition.WELL, ""),
        ([], True, Condition.GONE, "the container of 1 was removed"),
        ([CURRENT, TWIN], True, Condition.DOUBLED, "twin runs beside"),
        ([CURRENT, replace(TWIN, status="paused")], True, Condition.DOUBLED, "twin"),
        ([replace(CURRENT, image_id=NEW.image_id)], True, Condition.DRIFTED, "the record says 1"),
    ],
)
def test_what_is_wrong_with_a_host_is_told_by_what_is_there(
    containers: list[Container], well: bool, state: Condition, why: str
) -> None:
    """Stopped by hand, ended by itself, crashing, removed, paused, doubled, hung and well are told apart."""
    row = status(None, *containers, well=well)
    assert row.state is state
    assert why in row.why


def test_a_port_that_somebody_took_since_is_named() -> None:
    """A container that was stopped, and whose port another one has, cannot simply be started."""
    port = Binding("tcp", 8080)
    stopped = replace(CURRENT, status="exited", host_ports=frozenset({port}))
    record = HostRecord("shop", "production", (OLD,), OLD.id)
    seen = Observed("h1", FACTS, record, None, (stopped,), {port: "stranger"})
    assert summarise(seen, "shop", {}, "here").port_holder == "stranger"
    assert summarise(replace(seen, port_owners={}), "shop", {}, "here").port_holder == ""


@pytest.mark.parametrize(
    ("labels", "status", "found"),
    [
        ({SERVICE: "shop", ENVIRONMENT: "staging", RELEASE: "1.4"}, "running", Copy("staging", "1.4", "c")),
        ({SERVICE: "shop", ENVIRONMENT: "staging", RELEASE: "1.4"}, "exited", None),
        ({SERVICE: "shop", ENVIRONMENT: "staging", TASK: "migrate"}, "running", None),
        ({SERVICE: "shop", ENVIRONMENT: "production", RELEASE: "1"}, "running", None),
        ({SERVICE: "till", ENVIRONMENT: "staging", RELEASE: "1"}, "running", None),
        ({SERVICE: "shop"}, "running", None),
        ({}, "running", None),
    ],
)
def test_what_another_environment_runs_of_the_service_is_a_copy(
    labels: dict[str, str], status: str, found: Copy | None
) -> None:
    """A task is none, and neither is what does not run, is another service's, or stands there for a test."""
    assert Listed("1" * 12, "c", status, labels, ()).copy_beside("shop", "production") == found


def test_copies_are_said_once_for_all_their_hosts() -> None:
    """A line for each release of each environment."""
    old, new = Copy("staging", "1.4", "a"), Copy("staging", "1.5", "b")
    assert list(also_on("shop", [("h1", old), ("h2", old), ("h3", new)])) == [
        "also on h1, h2: shop 1.4 of staging",
        "also on h3: shop 1.5 of staging",
    ]
