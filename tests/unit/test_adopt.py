"""A container that relman did not make is replaced as its own old ones are, and comes back if that fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from relman.model.container import ENVIRONMENT, RELEASE, SERVICE, Container
from relman.model.errors import Interrupted, PreflightFailed, RelmanError, RolledBack
from relman.model.image import ImageId
from relman.model.settings import DeploySettings
from tests.unit.model_fleet import World, killed, rebooted
from tests.unit.model_host import Died, ModelHost
from tests.unit.values import FREE, KINDS, PORT

OLD = "blog-web-1"
OWN = {RELEASE: "1", SERVICE: "blog", ENVIRONMENT: "production"}
MOST = 1000  # more changes than a deployment makes


def beside_compose(settings: DeploySettings, count: int = 2, **options: str) -> World:
    """Hosts on which compose runs a container."""
    world = World(count, settings)
    for host in world.hosts:
        compose_up(host, settings, **options)
    return world


def compose_up(host: ModelHost, settings: DeploySettings, *, name: str = OLD, status: str = "running") -> None:
    """Start a container of the same settings, as compose does; its label is the model's way to call it."""
    id = f"{next(host.numbers):064x}"
    host.containers[id] = Container(
        id=id,
        name=name,
        image_id=ImageId("sha256:" + "0" * 64),
        status=status,
        labels={RELEASE: "compose"},
        host_ports=frozenset(p.binding for run in settings.runs for p in run.ports if p.binding),
        restart_policy="unless-stopped",
    )
    host.settings[id] = FREE


def old_of(host: ModelHost) -> Container:
    """What compose runs, or ran."""
    return next(c for c in host.containers.values() if c.name == OLD)


def one_side(world: World) -> str:
    """Which side serves on all hosts, after a reboot, too; the other does not, compose's containers are there as they
    were, or stopped for good, and no lock and no unknown container is left."""
    sides = set()
    for _ in range(2):
        for host, seen in zip(world.hosts, world.seen(), strict=True):
            old, entry = old_of(host), seen.record.serving
            own = entry.ids if entry else frozenset()
            assert {c.id for c in host.containers.values()} == {old.id} | own
            assert {c.id for c in host.running} == (own or {old.id})
            assert old.restart_policy == ("no" if own else "unless-stopped")
            assert seen.lock is None
            sides.add("relman" if own else "compose")
            host.reboot()
    assert len(sides) == 1
    return sides.pop()


@pytest.mark.parametrize("happens", [killed, rebooted])
@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_whenever_it_ends_one_side_serves_and_the_next_deployment_succeeds(
    settings: DeploySettings, happens: Callable[[ModelHost], None]
) -> None:
    """relman is killed, or a host loses its power, before each change: recover leaves what compose ran, or the release,
    on all hosts; then the same command does what is left to do."""
    sides = set()
    for at in range(1, MOST):
        world = beside_compose(settings)
        world.before(at, happens)
        with contextlib.suppress(Died, RelmanError):
            world.deploy("1", adopt=(OLD,))
        if world.changes < at:
            break
        world.calm()
        assert world.recover().error is None
        sides.add(one_side(world))
        assert world.deploy("1", adopt=(OLD,)).error is None
        assert one_side(world) == "relman"
    assert sides == {"compose", "relman"}


def test_a_host_that_serves_nothing_gets_it_back_before_anybody_recovers() -> None:
    """The next deployment starts it, and says what to type."""
    for at in range(1, MOST):
        world = beside_compose(PORT)
        world.before(at, killed)
        with pytest.raises(Died):
            world.deploy("1", adopt=(OLD,))
        if "-" in world.versions:
            break
    world.calm()
    with pytest.raises(Interrupted):
        world.deploy("1", adopt=(OLD,))
    assert world.heal() == ("h1",)
    assert world.versions == ["compose", "compose"]
    assert world.recover().error is None
    assert one_side(world) == "compose"


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_a_release_that_is_not_healthy_gives_its_place_back(settings: DeploySettings) -> None:
    """All that ran runs again, with its policy, and the report names it."""
    world = beside_compose(settings)
    world.hosts[1].sick = frozenset({"1"})
    report = world.deploy("1", adopt=(OLD,))
    assert isinstance(report.error, RolledBack)
    assert [o.detail for o in report.outcomes] == [f"back on {OLD}"] * 2
    assert one_side(world) == "compose"


def test_what_was_adopted_is_never_removed() -> None:
    """Neither by pruning, nor by a rollback, nor with the service; adopted twice it is left alone."""
    world = beside_compose(PORT)
    for tag in ("1", "2", "3"):
        assert world.deploy(tag, adopt=(OLD,)).error is None
    assert world.rollback().error is None
    assert world.versions == ["2", "2"]
    assert all(not old_of(host).alive for host in world.hosts)


def test_a_host_that_has_none_just_starts() -> None:
    """Of several hosts one ran compose; the plan names what it replaces there."""
    world = beside_compose(PORT, 1)
    world.hosts.append(World(2, PORT).hosts[1])
    plan = world.deploy("1", adopt=(OLD,)).plan
    assert [(s.host, s.adopts, s.old_release) for s in plan.steps] == [("h1", (OLD,), OLD), ("h2", (), "")]


def test_several_become_one_service() -> None:
    """compose's web and worker are one old side."""
    world = beside_compose(KINDS["set"], 1)
    compose_up(world.hosts[0], FREE, name="blog-worker-1")
    assert world.deploy("1", adopt=(OLD, "blog-worker-1")).error is None
    assert {c.labels[RELEASE] for c in world.hosts[0].running} == {"1"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "blog_web_1"}, f"no host has a container {OLD}"),
        ({"status": "exited"}, f"h1: {OLD} is exited"),
        ({"status": "paused"}, f"h1: {OLD} is paused"),
        ({"auto_remove": True}, f"h1: {OLD} was started with --rm"),
        ({"labels": OWN}, f"h1: {OLD} is relman's own, of blog in production"),
        ({"labels": {RELEASE: "1", "com.docker.swarm.task.id": "x"}}, f"h1: {OLD} is a task of a swarm"),
    ],
)
def test_what_cannot_be_adopted_is_refused(change: dict[str, object], said: str) -> None:
    """With the reason, and nothing changes."""
    world = beside_compose(PORT, 1)
    host = world.hosts[0]
    old = old_of(host)
    host.containers[old.id] = replace(old, **change)  # type: ignore[arg-type]
    before = dict(host.containers)
    with pytest.raises(PreflightFailed) as refused:
        world.deploy("1", adopt=(OLD,))
    assert said in refused.value.details[0]
    assert host.containers == before


def test_one_that_runs_beside_the_service_is_refused() -> None:
    """The service is in its place already: whoever started it again has to decide."""
    world = beside_compose(FREE, 1)
    assert world.deploy("1").error is None
    with pytest.raises(PreflightFailed) as refused:
        world.deploy("2", adopt=(OLD,))
    assert refused.value.details[0].startswith(f"h1: {OLD} runs beside the service")
