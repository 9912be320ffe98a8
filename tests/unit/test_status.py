"""What `relman status` makes of one host and of a fleet: no host is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relman.model.container import DEPLOYMENT, MANIFEST, RELEASE, Container, EngineFacts
from relman.model.errors import Drift, NotServing
from relman.model.image import Platform
from relman.model.plan import Observed
from relman.model.record import Deployed, FoundLock, HostRecord, Intent, Lock, Phase
from relman.rollout.status import HostStatus, summarise, verdict
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


def status(found: FoundLock | None, *containers: Container) -> HostStatus:
    """The row of a host that remembers 1."""
    record = HostRecord("shop", "production", (OLD,), OLD.id)
    return summarise(Observed("h1", FACTS, record, found, containers), "shop", "healthy", "here")


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
    assert verdict([row]) is None
    assert len(row.notes) == 1
    assert "by ada@box since 2026-01-01T00:00:00Z: deploying shop 2" in row.notes[0]


def test_while_it_is_deployed_a_fleet_of_two_releases_is_not_mixed() -> None:
    """A deployment under way has not reached every host yet: nobody has to decide anything."""
    rows = [status(lock(), container(NEW)), status(lock(Phase.HELD), container(OLD))]
    assert {r.release for r in rows} == {"1", "2"}
    assert verdict(rows) is None


def test_what_it_does_not_explain_still_counts() -> None:
    """A stranger's container, a new container that died, and a host that was dark before its turn are what they are."""
    foreign = replace(container(NEW), id="f", name="by-hand")
    assert isinstance(verdict([status(lock(), foreign)]), Drift)
    assert isinstance(verdict([status(lock(), container(NEW, "exited"), container(OLD, "exited"))]), NotServing)
    assert isinstance(verdict([status(lock(Phase.HELD), container(OLD, "exited"))]), NotServing)


def test_a_dead_holder_explains_nothing() -> None:
    """What it left is an interrupted deployment, and drift."""
    row = status(lock(age=61.0), container(NEW))
    assert (row.interrupted, row.drift) == (True, True)


def test_the_digest_is_that_of_what_runs_and_the_record_is_told_where_it_differs() -> None:
    """Release and digest of a row belong together: both are the running container's."""
    row = status(None, container(NEW))
    assert (row.release, row.manifest, row.drift) == ("2", str(NEW.manifest), True)
    assert OLD.manifest.short in row.notes[0]
    assert NEW.manifest.short in row.notes[0]
    assert (row.recorded_release, row.recorded_manifest) == ("1", str(OLD.manifest))
    dark = status(None, container(OLD, "exited"))
    assert (dark.release, dark.manifest) == ("1", str(OLD.manifest))
