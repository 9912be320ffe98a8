"""Several processes of one image: which stop first, where they may run, how they are written down. All pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.config.deploy import resolve
from relman.model.container import DEPLOYMENT, PROCESS, REPLICA, Container, EngineFacts
from relman.model.errors import ConfigError, PreflightFailed
from relman.model.formats.untrusted_json import Misread
from relman.model.image import Platform
from relman.model.plan import Action, Observed, Plan
from relman.model.run import Release
from relman.model.settings import DeploySettings, Health, Mount, Order, Port, Probe, Process, RunSettings
from relman.model.settings_diff import differences, same_run
from relman.model.state_dir.lock import Intent, Lock, OldContainer, Phase
from relman.model.state_dir.record import Deployed, HostRecord, Unit
from relman.rollout.looking.condition import lacking_processes
from relman.rollout.planning.max_hosts import require_few
from relman.rollout.planning.planner import Asked, plan_deploy
from relman.rollout.planning.recovery_decision import dark
from relman.rollout.planning.replacement_order import turns
from tests.unit.values import REPOSITORY, deployed, hexes

AMD64 = Platform("linux", "amd64")
ASKED = Asked("new", "2026-02-01T00:00:00Z", "a@b", "shop", "production")
WEB, WORKER = RunSettings(ports=(Port(80, host_port=8080),)), RunSettings(volumes=(Mount("data", "/data"),))


def of(**runs: RunSettings) -> DeploySettings:
    """A release of these processes, one container each."""
    return DeploySettings(processes=tuple(Process(name, 1, run) for name, run in runs.items()))


def entry_of(id: str, release: str, settings: DeploySettings) -> Deployed:
    """A release as put on a host; its containers' ids follow from their names."""
    units = tuple(
        Unit(p.name, n, f"{id}-{p.name}-{n}", hexes(f"{id}-{p.name}-{n}"))
        for p in settings.processes
        for n in range(1, p.replicas + 1)
    )
    return deployed(id, release=release, settings=settings).placed(units)


def seen(host: str, entry: Deployed) -> Observed:
    """A host that runs all of the entry."""
    containers = tuple(
        Container(
            u.container,
            u.name,
            entry.image_id,
            "running",
            labels={DEPLOYMENT: entry.id, PROCESS: u.process, REPLICA: str(u.replica)},
        )
        for u in entry.parts
    )
    record = HostRecord("shop", "production", (entry,), entry.id)
    return Observed(host, EngineFacts("20.10", AMD64, False, 0.0), record, containers=containers)


def release(tag: str) -> Release:
    """The release of this tag, with the digests that `values.deployed` gives it."""
    entry = deployed("x", release=tag)
    return Release(REPOSITORY, tag, entry.manifest, entry.config, AMD64)


STOPPING: Mapping[str, tuple[DeploySettings, DeploySettings, list[tuple[str, ...]]]] = {
    "nothing shared": (of(web=RunSettings()), of(web=RunSettings()), []),
    "its own port": (of(web=WEB, worker=RunSettings()), of(web=WEB, worker=RunSettings()), [("web",)]),
    "another's port": (of(web=WEB), of(api=WEB), [("api", "web")]),
    "ports that are swapped": (
        of(a=WEB, b=RunSettings(ports=(Port(80, host_port=81),))),
        of(a=RunSettings(ports=(Port(80, host_port=81),)), b=WEB),
        [("a", "b")],
    ),
    "a volume of its own": (of(web=RunSettings(), worker=WORKER), of(web=RunSettings(), worker=WORKER), [("worker",)]),
    "a volume of several": (of(a=WORKER, b=WORKER), of(a=WORKER, b=WORKER), []),
    "an order": (of(web=RunSettings()), of(web=RunSettings(order=Order.STOP_FIRST)), [("web",)]),
    "one without a name": (DeploySettings(ports=WEB.ports), of(web=WEB, worker=RunSettings()), [("web", "")]),
    "to one without a name": (of(web=WEB, worker=RunSettings()), DeploySettings(ports=WEB.ports), [("", "web")]),
    "the host's network, of both": (
        of(a=RunSettings(networks=("host",)), b=RunSettings(networks=("host",))),
        of(a=RunSettings(networks=("host",)), b=RunSettings(networks=("host",))),
        [("a",), ("b",)],
    ),
}


@pytest.mark.parametrize("name", STOPPING)
def test_what_stops_first(name: str) -> None:
    """Each process by itself, unless one takes what another one had: then both at once."""
    old, new, expected = STOPPING[name]
    assert [t.processes for t in turns(old, new, [p.name for p in old.parts])] == expected


PORTS = st.sampled_from([(), (Port(80, host_port=8080),), (Port(80, host_port=8081),)])
SETS = st.dictionaries(st.sampled_from("abc"), PORTS, min_size=1).map(
    lambda found: of(**{name: RunSettings(ports=ports) for name, ports in found.items()})
)


@given(SETS, SETS)
def test_no_new_container_starts_while_an_old_one_has_its_port(old: DeploySettings, new: DeploySettings) -> None:
    """Whatever the two releases are: when a process starts, every old one that has a port of it has stopped."""
    running = {p.name for p in old.parts}
    order = turns(old, new, [p.name for p in old.parts])
    stopped: set[str] = set()
    waiting = {name for turn in order for name in turn.processes}
    for group in [{p.name for p in new.parts} - waiting, *(set(t.processes) for t in order)]:
        stopped |= group & waiting & running
        for name in group & {p.name for p in new.parts}:
            taken = {port.binding for p in old.parts if p.name not in stopped for port in p.run.ports}
            assert not taken & {port.binding for port in new.run_of(name).ports}


SCHEDULER = Process("scheduler", 1, RunSettings(), max_hosts=1)
ALONE = DeploySettings(processes=(Process("web"),))
WITH_SCHEDULER = DeploySettings(processes=(Process("web"), SCHEDULER))


def most_at_once(plan: Plan, running: Sequence[str]) -> int:
    """On how many hosts the scheduler is at one time, whichever host of a wave is first."""
    now, most = set(running), len(running)
    for wave in plan.waves:
        gained = {s.host for s in wave.steps if any(p.name == "scheduler" for p in s.entry.settings.processes)}
        most = max(most, len(now | gained))
        now = (now - {s.host for s in wave.steps}) | gained
    return most


@given(st.integers(2, 6), st.data(), st.sampled_from(["1", "2", "100%"]))
def test_a_process_that_moves_is_never_on_two_hosts(count: int, data: st.DataObject, most: str) -> None:
    """From any host to any other, in waves of any size: the host that gives it up has changed before."""
    names = [f"h{n}" for n in range(count)]
    before, after = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
    fleet = [seen(h, entry_of("old", "1", WITH_SCHEDULER if h == before else ALONE)) for h in names]
    settings = {h: WITH_SCHEDULER if h == after else ALONE for h in names}
    plan = plan_deploy(replace(ASKED, max_unavailable=most), release("2"), settings, fleet)
    assert sorted(s.host for s in plan.steps) == names
    assert most_at_once(plan, [before]) == 1


def test_two_processes_that_change_places_are_refused() -> None:
    """Neither host can be first: one of them would run twice."""
    beat = DeploySettings(processes=(Process("beat", 1, RunSettings(), max_hosts=1),))
    tick = DeploySettings(processes=(Process("tick", 1, RunSettings(), max_hosts=1),))
    fleet = [seen("h1", entry_of("old", "1", beat)), seen("h2", entry_of("old", "1", tick))]
    with pytest.raises(PreflightFailed, match="h1, h2 would give up one of beat, tick and get another at once"):
        plan_deploy(ASKED, release("2"), {"h1": tick, "h2": beat}, fleet)


def test_a_process_that_moves_leaves_no_host_out() -> None:
    """A host that nobody looks at may still run it."""
    fleet = [seen("h1", entry_of("old", "1", ALONE))]
    asked = replace(ASKED, left_out={"h2": "burned"})
    with pytest.raises(PreflightFailed, match="scheduler starts on h1, and may still run on h2"):
        plan_deploy(asked, release("2"), {"h1": WITH_SCHEDULER}, fleet)
    kept = [seen("h1", entry_of("old", "1", WITH_SCHEDULER))]
    assert plan_deploy(asked, release("2"), {"h1": WITH_SCHEDULER}, kept).steps


def test_more_hosts_than_may_run_it_are_refused() -> None:
    """Judged by the whole environment: a host without a choice of its own runs all."""
    require_few([WITH_SCHEDULER], {"h1": None, "h2": ["web"]})
    with pytest.raises(PreflightFailed) as caught:
        require_few([WITH_SCHEDULER], {"h1": None, "h2": ["web"], "h3": ["scheduler"]})
    assert caught.value.details == ("scheduler may run on 1 host, and the inventory gives it to h1, h3",)


def test_other_replicas_or_processes_are_a_change_and_a_common_key_alone_is_none() -> None:
    """What decides is how each process is run; a key of the deploy section that no process has is for tasks."""
    old = of(web=WEB, worker=WORKER)
    more = replace(old, processes=(old.processes[0], replace(old.processes[1], replicas=3)))
    other = replace(old, processes=(old.processes[0], replace(old.processes[1], run=replace(WORKER, env={"A": "1"}))))
    assert same_run(old, replace(old, env={"A": "1"}))
    assert [(c.key, c.old, c.new) for c in differences(old, more)] == [("processes.worker.replicas", "1", "3")]
    assert [c.key for c in differences(old, other)] == ["processes.worker.env.A"]
    assert [c.key for c in differences(old, of(web=WEB))] == ["processes.worker.replicas"]
    assert not same_run(old, more)
    plan = plan_deploy(ASKED, release("1"), {"h1": old}, [seen("h1", entry_of("old", "1", old))])
    assert plan.steps == ()
    plan = plan_deploy(ASKED, release("1"), {"h1": more}, [seen("h1", entry_of("old", "1", old))])
    assert [s.action for s in plan.steps] == [Action.REPLACE]


def test_records_and_locks_of_sets_are_read_back_and_the_others_are_of_version_1() -> None:
    """A set of one container without a name is what an older relman reads; all else is of version 2, and holds."""
    plain, several = deployed("1"), entry_of("2", "2", of(web=WEB, worker=WORKER))
    for entry, version in ((plain, 1), (several, 2)):
        record = HostRecord("shop", "production", (entry,), entry.id)
        assert record.to_json()["version"] == version
        assert HostRecord.from_json(record.to_json()) == record
        olds = (OldContainer(hexes("old"), "", "always"),)
        intent = Intent.make(
            olds,
            entry,
            entry.parts if entry.units else (Unit("", 1, "name"),),
            stop_first=("web",),
            reused=(),
            rollback=False,
        )
        lock = Lock("a@b", "m", 1, "t", entry.id, "deploying", 60.0, Phase.CHANGING, intent)
        assert lock.to_json()["version"] == version
        read = Lock.from_json(lock.to_json(), "production", "shop")
        assert read == lock
        assert read.intent is not None
        assert [o.container for o in read.intent.olds] == [hexes("old")]
        assert [u.process for u in read.intent.news] == [u.process for u in entry.parts]


@pytest.mark.parametrize("lost", ["process", "replica"])
def test_a_record_whose_containers_are_not_its_processes_is_refused(lost: str) -> None:
    """One for each replica of each process: a host cannot make others up."""
    entry = entry_of("2", "2", of(web=WEB, worker=WORKER))
    wrong = replace(entry, units=entry.units[:1] if lost == "process" else (*entry.units, entry.units[0]))
    record = HostRecord("shop", "production", (wrong,), wrong.id)
    with pytest.raises(Misread, match=r"entries\[0\].units: expected one for each replica"):
        HostRecord.from_json(record.to_json())


def test_what_is_dark_after_a_death() -> None:
    """A process that had its place, and of which neither side runs."""
    entry = entry_of("2", "2", of(web=WEB, worker=WORKER))
    olds = tuple(OldContainer(hexes(name), name) for name in ("web", "worker", "gone"))
    intent = Intent.make(olds, entry, entry.units, stop_first=("worker",), reused=(), rollback=False)
    old = {o.process: Container(o.container, o.process, entry.image_id, "running") for o in olds}
    new = {u.process: Container(u.container, u.name, entry.image_id, "running") for u in entry.units}
    assert dark(intent, list(old.values())) == frozenset()
    assert dark(intent, [old["web"], new["worker"], old["gone"]]) == frozenset()
    assert dark(intent, [old["web"], old["gone"]]) == {"worker"}
    assert dark(intent, [new["web"], old["worker"]]) == {"gone"}
    assert dark(intent, []) == {"web", "worker", "gone", ""}


SECTION = {
    "env": {"A": "1"},
    "health": {"none": True},
    "processes": {
        "web": {"ports": ["8080:80"]},
        "worker": {"replicas": "${workers:-2}", "command": ["work"], "env": {"B": "2"}, "health": {"tcp": {"port": 1}}},
    },
}


def test_a_process_whose_new_container_runs_is_not_lacking() -> None:
    """A change that died after it had replaced one of two: nobody is without service, and what is said is that it was
    interrupted."""
    old = seen("h1", entry_of("1", "1", of(web=WEB, worker=WORKER)))
    web, worker = old.containers
    gap = replace(old, containers=(web, replace(worker, status="exited")))
    assert lacking_processes(gap) == ("worker",)
    new = replace(worker, id=hexes("new"), labels={**worker.labels, DEPLOYMENT: "2"})
    assert lacking_processes(replace(gap, containers=(new, *gap.containers))) == ()
    assert lacking_processes(replace(gap, containers=(replace(new, status="created"), *gap.containers))) == ("worker",)


def test_a_process_adds_to_env_and_replaces_all_else() -> None:
    """What stands in the deploy section is for all; the inventory chooses and counts."""
    found = resolve(SECTION, {"workers": "3"}, {"C": "3"}, origin="x")
    web, worker = found.processes
    assert (web.replicas, worker.replicas) == (1, 3)
    assert (web.run.env, worker.run.env) == ({"A": "1", "C": "3"}, {"A": "1", "B": "2", "C": "3"})
    assert (web.run.health.probe, worker.run.health.probe, worker.run.command) == ("none", "tcp", ("work",))
    only = resolve(SECTION, {}, {}, origin="x", processes={"worker": 4})
    assert [(p.name, p.replicas) for p in only.processes] == [("worker", 4)]


@pytest.mark.parametrize(
    ("section", "processes", "said"),
    [
        (SECTION, {"wurker": None}, "relman_processes names wurker, and the release has web, worker"),
        (SECTION, {}, "relman_processes gives this host none of them"),
        (SECTION, {"web": 2}, "2 containers cannot hold the host's port 8080"),
        ({"processes": {"a": {"ports": ["1:1"]}, "b": {"ports": ["1:1"]}}}, None, "port 1 is taken by a, which runs"),
        ({}, {"web": None}, "relman_processes names web, and the release has none"),
        ({"processes": {"Web": {}}}, None, "a process's name"),
        ({"processes": {"a": {"replicas": "two"}}}, None, "expected a number of containers from 1 to 100"),
        ({"processes": {"a": {"singleton": True, "replicas": 2}}}, None, "singleton allows one container"),
        ({"singleton": True, "processes": {"a": {"order": "start-first"}}}, None, "start-first runs two copies"),
    ],
)
def test_what_cannot_be_run_is_refused(section: dict[str, object], processes: dict[str, int | None], said: str) -> None:
    """Before anything is touched, with the key."""
    with pytest.raises(ConfigError) as caught:
        resolve(section, {}, {}, origin="the label of shop:1", processes=processes)
    assert said in str(caught.value.problems[0])
    assert "the label of shop:1: deploy.processes" in str(caught.value.problems[0])


def test_a_process_without_a_health_check_is_named() -> None:
    """Where another one has a check the release counts as verified, and what only has to stay up is said."""
    checked = RunSettings(health=Health(Probe.TCP, 80))
    settings = of(web=checked, worker=RunSettings())
    plan = plan_deploy(ASKED, release("1"), {"h1": settings}, [seen("h1", entry_of("old", "0", settings))])
    assert plan.warnings == ("worker of shop:1 without a health check: it only has to stay up",)
    assert plan.steps[0].entry.verified
