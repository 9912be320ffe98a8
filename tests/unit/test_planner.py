"""The planner decides from what was seen, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.model.container import DEPLOYMENT, PROCESS, REPLICA, Container, EngineFacts
from relman.model.errors import PreflightFailed, TagMoved
from relman.model.image import ManifestDigest, Platform
from relman.model.plan import Action, Observed, Plan
from relman.model.run import Release
from relman.model.settings import Binding, DeploySettings, Health, Mount, Order, Port, Probe, Process, RunSettings
from relman.model.state_dir.record import Deployed, HostRecord, Unit
from relman.model.strategy import Check, Strategy, StrategyKind, Task
from relman.rollout.planning import preflight
from relman.rollout.planning.planner import Asked, plan_deploy, plan_rollback
from relman.rollout.planning.replacement_order import turns
from relman.rollout.planning.rollback_target import agreed_target
from relman.rollout.planning.strategies.batches import batch_size
from tests.unit.values import REPOSITORY, deployed, hexes, records

AMD64 = Platform("linux", "amd64")
ASKED = Asked("new", "2026-02-01T00:00:00Z", "a@b", "shop", "production")
CHECKED = DeploySettings(health=Health(Probe.HTTP, 8080))


def release(tag: str) -> Release:
    """The release of this tag, with the digests that `values.deployed` gives it."""
    entry = deployed("x", release=tag)
    return Release(REPOSITORY, tag, entry.manifest, entry.config, AMD64)


def seen(host: str, *entries: Deployed, current: int = -1, running: bool = True, containerd: bool = False) -> Observed:
    """A host that remembers `entries` and runs the `current` one."""
    serving = entries[current] if entries else None
    record = HostRecord("shop", "production", entries, serving.id if serving else None)
    containers = []
    if serving and running:
        labels = {DEPLOYMENT: serving.id}
        containers = [Container(serving.container, "c", serving.image_id, "running", labels=labels)]
    facts = EngineFacts("20.10", AMD64, containerd, 0.0)
    return Observed(host, facts, record, containers=tuple(containers))


def must_stop_first(old: DeploySettings, new: DeploySettings) -> str:
    """Why the one container has to stop before the other starts, "" where it need not."""
    return next((turn.why for turn in turns(old, new, [""])), "")


def deploy(
    fleet: Sequence[Observed], tag: str = "118", settings: DeploySettings = CHECKED, most: str | None = "1"
) -> Plan:
    """The plan to deploy `tag` with the same settings everywhere."""
    return plan_deploy(replace(ASKED, max_unavailable=most), release(tag), {o.host: settings for o in fleet}, fleet)


@given(st.integers(0, 40), st.sampled_from(["1", "2", "7", "25%", "1%", "99%", "100%"]))
def test_each_host_is_in_exactly_one_wave_and_no_wave_is_too_large(count: int, most: str) -> None:
    """Waves partition the hosts; the first is one host unless all go at once."""
    fleet = [seen(f"h{i}", deployed("117")) for i in range(max(1, count))]
    plan = deploy(fleet, most=most)
    assert [s.host for s in plan.steps] == [o.host for o in fleet]
    if most == "100%":
        assert len(plan.waves) == 1
    else:
        assert len(plan.waves[0].steps) == 1
        assert all(len(w.steps) <= batch_size(most, len(fleet)) for w in plan.waves)


RUNS = (
    st.sampled_from([(), (Port(80, host_port=8080),), (Port(80),)]),
    st.sampled_from([(), (Mount("data", "/data"),), (Mount("data", "/data", read_only=True),)]),
    st.booleans(),
    st.sampled_from(Order),
)
runs = st.builds(
    lambda ports, volumes, singleton, order: RunSettings(
        ports=ports, volumes=volumes, singleton=singleton, order=order, health=CHECKED.health
    ),
    *RUNS,
)
releases = st.lists(runs, min_size=1, max_size=3).map(
    lambda each: replace(
        CHECKED, processes=tuple(Process(name, run=run) for name, run in zip("abc", each, strict=False))
    )
)


@given(st.integers(1, 40), releases, releases, st.booleans(), st.booleans())
def test_by_default_a_quarter_changes_at_once_only_where_every_process_starts_first(
    count: int, old: DeploySettings, new: DeploySettings, running: bool, back: bool
) -> None:
    """After the first host, which changes alone; where a process stops first, one host after the other, in a deployment
    and in a rollback. The plan says which default it is, and why."""
    entries = [deployed("117", settings=old), deployed("116", settings=new)][:: -1 if back else 1]
    fleet = [seen(f"h{i}", *(entries if back else entries[:1]), running=running) for i in range(count)]
    fleet = [_with_all_processes(each) for each in fleet]
    plan = plan_rollback(ASKED, fleet) if back else deploy(fleet, settings=new, most=None)
    gentle = not any(s.turns for s in plan.steps) and not turns(new, new, [p.name for p in new.parts])
    most = batch_size("25%", count) if gentle else 1
    sizes = [len(w.steps) for w in plan.waves]
    assert sizes[:1] == [1][: len(sizes)]
    assert all(size <= most for size in sizes)
    assert set(sizes[1:-1]) <= {most}
    assert (plan.max_unavailable, "stops first" in plan.by_default) == ("25%" if gentle else "1", not gentle)


def _with_all_processes(host: Observed) -> Observed:
    """The host, in which each process of its release has a container."""
    (one, *_), entry = host.containers or (None,), host.record.serving
    if one is None or entry is None:
        return host
    units = tuple(Unit(p.name, 1, f"c-{p.name}", hexes(f"{entry.id} {p.name}")) for p in entry.settings.parts)
    record = replace(
        host.record, entries=tuple(e.placed(units) if e.id == entry.id else e for e in host.record.entries)
    )
    labels = {u.process: {**one.labels, PROCESS: u.process, REPLICA: "1"} for u in units}
    own = tuple(replace(one, id=u.container, name=u.name, labels=labels[u.process]) for u in units)
    return replace(host, record=record, containers=own)


def test_what_a_person_or_the_release_says_is_no_default() -> None:
    """It counts, and the plan has no reason to give."""
    fleet = [seen(f"h{i}", deployed("117")) for i in range(8)]
    said = deploy(fleet, settings=replace(CHECKED, max_unavailable="50%"), most=None)
    assert (said.max_unavailable, said.by_default, [len(w.steps) for w in said.waves]) == ("50%", "", [1, 4, 3])
    asked = deploy(fleet, settings=replace(CHECKED, max_unavailable="50%"), most="2")
    assert (asked.max_unavailable, asked.by_default, len(asked.waves)) == ("2", "", 5)


def test_a_converged_fleet_needs_nothing() -> None:
    """Deploying what serves everywhere, proven, with the same settings, is an empty plan."""
    entry = deployed("117", settings=CHECKED)
    plan = deploy([seen("h1", entry), seen("h2", entry)], tag="117")
    assert plan.steps == ()
    assert plan.unchanged == ("h1", "h2")


def test_other_settings_of_the_same_release_are_a_change() -> None:
    """A changed variable is rolled out like a new image."""
    plan = deploy([seen("h1", deployed("117", settings=CHECKED))], "117", replace(CHECKED, env={"A": "1"}))
    assert [s.action for s in plan.steps] == [Action.REPLACE]


@pytest.mark.parametrize("tag", ["117", "118"])
def test_what_crashes_again_and_again_is_replaced(tag: str) -> None:
    """A container that the engine is about to start again has the place still, whatever is deployed: it is replaced
    like one that runs, never joined by a second one."""
    host = seen("h1", deployed("117", settings=CHECKED))
    crashing = replace(host, containers=tuple(replace(c, status="restarting") for c in host.containers))
    (step,) = deploy([crashing], tag).steps
    assert (step.action, [o.container for o in step.old]) == (Action.REPLACE, [host.containers[0].id])


def test_an_unproven_container_of_the_same_release_is_only_verified() -> None:
    """What a halted deployment left is checked, not replaced."""
    plan = deploy([seen("h1", deployed("117", settings=CHECKED, proven=False))], "117")
    assert [s.action for s in plan.steps] == [Action.VERIFY]


def test_what_is_only_verified_is_gone_about_as_the_release_says() -> None:
    """A host's record cannot smuggle in a command that would run here as the check of a canary."""
    evil = Strategy(StrategyKind.CANARY, check=Check(command=("touch", "/evil")))
    good = Strategy(StrategyKind.CANARY, check=Check(url="http://shop.example/"))
    wrote = deployed("117", settings=replace(CHECKED, strategy=evil), proven=False)
    plan = deploy([seen("h1", wrote)], "117", replace(CHECKED, strategy=good))
    assert [s.action for s in plan.steps] == [Action.VERIFY]
    assert [w.checks for w in plan.waves] == [(good.check,)]


def test_a_dead_container_is_started_anew() -> None:
    """A record that says it serves is not believed against the engine."""
    plan = deploy([seen("h1", deployed("117", settings=CHECKED), running=False)], "117")
    assert [s.action for s in plan.steps] == [Action.START]


@pytest.mark.parametrize(
    ("settings", "forced"),
    [
        (DeploySettings(ports=(Port(80, host_port=8080),)), True),
        (DeploySettings(ports=(Port(80, host_port=0),)), False),
        (DeploySettings(volumes=(Mount("data", "/data"),)), True),
        (DeploySettings(volumes=(Mount("data", "/data", read_only=True),)), False),
        (DeploySettings(networks=("host",)), True),
        (DeploySettings(singleton=True), True),
        (DeploySettings(), False),
    ],
)
def test_two_copies_never_share_what_cannot_be_shared(settings: DeploySettings, forced: bool) -> None:
    """A bound port, a writable volume, the host's network and a singleton all force stop-first."""
    assert bool(must_stop_first(settings, settings)) is forced


HOST, BOUND = DeploySettings(networks=("host",)), DeploySettings(ports=(Port(80, host_port=8080),))


@pytest.mark.parametrize(("old", "new"), [(HOST, BOUND), (BOUND, HOST)])
def test_a_change_between_a_published_port_and_the_host_s_network_stops_first(
    old: DeploySettings, new: DeploySettings
) -> None:
    """What listens in the host's network may listen on the very port that the other one publishes."""
    assert "the host's network" in must_stop_first(old, new)
    free = replace(BOUND, ports=(Port(80, host_port=0),))
    assert must_stop_first(replace(old, ports=()), replace(new, ports=())) == ""
    assert must_stop_first(HOST, free) == must_stop_first(free, HOST) == ""


def test_the_image_id_follows_the_hosts_store() -> None:
    """The classic store calls the image by its config digest, the containerd store by its manifest digest."""
    plan = deploy([seen("h1", deployed("1")), seen("h2", deployed("1"), containerd=True)])
    ids = [s.entry.image_id.value for s in plan.steps]
    assert ids == [release("118").config.value, release("118").manifest.value]


def remembers(host: str, record: HostRecord) -> Observed:
    """A host with this record; nothing runs there."""
    return Observed(host, EngineFacts("20.10", AMD64, False, 0.0), record)


@given(records().filter(lambda r: r.serving is not None))
def test_a_rollback_never_goes_forward(record: HostRecord) -> None:
    """The target is proven good and stands before the serving entry, whatever came after it."""
    try:
        target = agreed_target([remembers("h1", record)], "-e production").entries["h1"]
    except PreflightFailed:
        return
    ids = [e.id for e in record.entries]
    assert target.proven
    assert ids.index(target.id) < ids.index(record.current or "")


def test_two_rollbacks_go_two_releases_back() -> None:
    """From 118 to 117 to 116, and then there is nothing left."""
    record = HostRecord("shop", "production", tuple(deployed(i) for i in ("116", "117", "118")), "118")
    for expected in ("117", "116"):
        target = agreed_target([remembers("h1", record)], "-e production")
        assert target.release == expected
        record = record.returned(target.entries["h1"])
    with pytest.raises(PreflightFailed, match="no release before 116 is proven good"):
        agreed_target([remembers("h1", record)], "-e production")


def test_a_release_deployed_again_is_no_way_back_to_itself() -> None:
    """After 1, 2 and 2 again on one host the way back is 1 for all; other settings of 2 would be a way back."""
    one, two = deployed("a", release="1"), deployed("b", release="2")
    again = replace(deployed("c", release="2"), at="2026-01-02T00:00:00Z")
    fleet = [
        remembers("h1", HostRecord("shop", "production", (one, two, again), "c")),
        remembers("h2", HostRecord("shop", "production", (one, two), "b")),
    ]
    assert {e.id for e in agreed_target(fleet, "").entries.values()} == {"a"}
    changed = replace(again, settings=replace(again.settings, env={"A": "1"}))
    fleet = [remembers("h1", HostRecord("shop", "production", (one, two, changed), "c"))]
    assert agreed_target(fleet, "").entries["h1"].id == "b"


def test_a_mixed_fleet_goes_back_to_one_release() -> None:
    """After a halted deployment the changed host goes back, and the others stay where they are: also where the release
    that they serve was deployed with other settings before."""
    old, other = deployed("117"), deployed("117a", release="117", settings=DeploySettings(env={"A": "1"}))
    new = replace(deployed("118", proven=False), at="2026-01-02T00:00:00Z")
    for earlier in ((), (deployed("116"),), (other,)):
        mixed = [seen("h1", *earlier, old, new), seen("h2", *earlier, old)]
        plan = plan_rollback(ASKED, mixed)
        assert [(s.host, s.entry.id) for s in plan.steps] == [("h1", "117")]
        assert plan.unchanged == ("h2",)


def test_other_settings_of_the_same_release_are_gone_back_from_by_all() -> None:
    """Where every host serves the release with new settings, each goes back to those that it had before."""
    changed = deployed("b", release="1", settings=DeploySettings(env={"A": "1"}))
    plan = plan_rollback(
        ASKED, [seen("h1", deployed("a", release="1"), changed), seen("h2", deployed("c", release="1"), changed)]
    )
    assert [(s.host, s.entry.id) for s in plan.steps] == [("h1", "a"), ("h2", "c")]


def test_hosts_that_disagree_are_listed_and_a_person_chooses() -> None:
    """Each host and its proposal, and the commands that choose; of the chosen release each host takes its own entry."""
    a, b, c = deployed("116"), deployed("117"), deployed("118")
    fleet = [seen("h1", a, b, c), seen("h2", a, replace(b, proven=False), c)]
    with pytest.raises(PreflightFailed, match="do not agree") as caught:
        plan_rollback(ASKED, fleet)
    assert list(caught.value.details) == [
        f"h1: 118 -> 117 ({b.manifest.short})",
        f"h2: 118 -> 116 ({a.manifest.short})",
    ]
    assert "relman rollback -e production --to 117" in caught.value.hint
    assert "relman rollback -e production --to 116" in caught.value.hint
    plan = plan_rollback(ASKED, fleet, "117")
    assert [s.entry.release for s in plan.steps] == ["117", "117"]
    assert "117 is not proven good on h2" in plan.warnings
    assert plan_rollback(ASKED, fleet, "118").unchanged == ("h1", "h2")


def test_a_host_without_an_entry_of_its_own_is_refused_by_name() -> None:
    """It gets no other host's settings: what to type without it, and what brings it along afterwards, is said."""
    a, b = deployed("117"), deployed("118")
    fleet = [seen("h1", a, b), seen("h2", a, b), seen("h3", b), seen("h4")]
    for release, to in ((None, ""), ("117", " --to 117")):
        with pytest.raises(PreflightFailed, match="h3, h4 have no entry of their own for 117") as caught:
            plan_rollback(replace(ASKED, left_out={"h9": "burned"}), fleet, release)
        assert (
            f"relman rollback -e production{to} --exclude h9 --exclude h3 --exclude h4 --reason WHY"
            in caught.value.hint
        )
        assert "relman deploy 117 -e production --only h3 --only h4" in caught.value.hint
    with pytest.raises(PreflightFailed, match="no host remembers 9"):
        plan_rollback(ASKED, fleet, "9")


def test_the_same_tag_of_two_images_is_not_one_release() -> None:
    """Hosts that remember other images under one tag are named with them, whether a person named the tag or not."""
    a, b, c = deployed("116"), deployed("117"), deployed("118")
    other = replace(b, manifest=ManifestDigest.of(b"other"))
    fleet = [seen("h1", a, other, c), seen("h2", a, b, c)]
    with pytest.raises(PreflightFailed, match="do not agree"):
        plan_rollback(ASKED, fleet)
    with pytest.raises(PreflightFailed, match="the same image under the tag 117") as caught:
        plan_rollback(ASKED, fleet, "117")
    assert f"h1: {other.manifest}" in caught.value.details[0]


def test_what_a_person_types_next_is_no_command_of_a_host() -> None:
    """A release name out of a record is quoted where a command is typed out."""
    evil = replace(deployed("1"), release="1; rm -rf /")
    fleet = [seen("h1", evil, deployed("3")), seen("h2", deployed("2"), deployed("3"))]
    with pytest.raises(PreflightFailed) as caught:
        plan_rollback(ASKED, fleet)
    assert "--to '1; rm -rf /' " in caught.value.hint


def test_tasks_that_only_one_host_tells_of_are_told_as_what_it_says() -> None:
    """What may not be gone back over is named with the host, where the others know nothing of it."""
    task = Task("migrate", ("true",))
    old, new = deployed("117"), deployed("118")
    told = replace(new, settings=DeploySettings(tasks=(task,)))
    assert plan_rollback(ASKED, [seen("h1", old, told), seen("h2", old, new)]).crosses == ("migrate of 118 (on h1)",)
    assert plan_rollback(ASKED, [seen("h1", old, told), seen("h2", old, told)]).crosses == ("migrate of 118",)


def test_a_taken_port_an_unmapped_volume_and_a_foreign_platform_are_found_before_anything_changes() -> None:
    """All faults of all hosts are reported at once."""
    settings = replace(CHECKED, ports=(Port(80, host_port=8080),))
    host = replace(seen("h1"), port_owners={Binding("tcp", 8080): "nginx"})
    arm = replace(seen("h2"), facts=EngineFacts("20.10", Platform("linux", "arm64"), False, 0.0))
    fleet = [host, arm]
    image = replace(release("118"), volumes=("/data",))
    plan = plan_deploy(ASKED, image, {o.host: settings for o in fleet}, fleet)
    with pytest.raises(PreflightFailed) as caught:
        preflight.check(plan, fleet, image)
    text = "\n".join(caught.value.details)
    assert "h1: port 8080/tcp is taken by the container nginx" in text
    assert "h1: the image keeps data in /data" in text
    assert "h2: the host is linux/arm64" in text


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        (Binding("tcp", 80, "127.0.0.1"), Binding("tcp", 80, "10.0.0.1"), False),
        (Binding("tcp", 80, "127.0.0.1"), Binding("tcp", 80, "127.0.0.1"), True),
        (Binding("tcp", 80, "0.0.0.0"), Binding("tcp", 80, "10.0.0.1"), True),  # noqa: S104
        (Binding("tcp", 80), Binding("tcp", 80, "::1"), True),
        (Binding("tcp", 80, "::"), Binding("tcp", 80, "10.0.0.1"), True),
        (Binding("tcp", 80, "[::1]"), Binding("tcp", 80, "0:0:0:0:0:0:0:1"), True),
        (Binding("tcp", 80, "::1"), Binding("tcp", 80, "::2"), False),
        (Binding("tcp", 80, "::ffff:10.0.0.1"), Binding("tcp", 80, "10.0.0.1"), True),
        (Binding("tcp", 80), Binding("udp", 80), False),
        (Binding("tcp", 80), Binding("tcp", 81), False),
    ],
)
def test_a_port_is_taken_only_on_the_same_address(one: Binding, other: Binding, collide: bool) -> None:
    """Two containers can have one port on two addresses; on all addresses it collides with each, whichever is asked."""
    assert (one.collides(other), other.collides(one)) == (collide, collide)


def test_a_port_on_another_address_is_free_and_takes_no_stop() -> None:
    """Another's container on 127.0.0.1:8080 is no fault, and one on all addresses is, once; an old container of ours
    on another address need not stop first."""
    mine = Port(80, host_port=8080, host_ip="10.0.0.1")
    settings = replace(CHECKED, ports=(mine,))
    near = replace(seen("h1"), port_owners={Binding("tcp", 8080, "127.0.0.1"): "proxy"})
    preflight.check(plan_deploy(ASKED, release("118"), {"h1": settings}, [near]), [near], release("118"))
    wide = {Binding("tcp", 8080, address): "proxy" for address in ("0.0.0.0", "::")}  # noqa: S104
    host = replace(near, port_owners={**near.port_owners, **wide})
    with pytest.raises(PreflightFailed) as caught:
        preflight.check(plan_deploy(ASKED, release("118"), {"h1": settings}, [host]), [host], release("118"))
    assert caught.value.details == (
        "h1: port 8080/tcp is taken by the container proxy, which belongs to something else",
    )
    assert must_stop_first(DeploySettings(ports=(replace(mine, host_ip="127.0.0.1"),)), settings) == ""
    assert must_stop_first(DeploySettings(ports=(replace(mine, host_ip=""),)), settings) == "both take port 8080"


def test_a_release_tag_that_moved_since_a_host_deployed_it_is_refused() -> None:
    """A host's memory of the tag's digest is held against the registry's."""
    moved = replace(release("117"), manifest=ManifestDigest.of(b"other"))
    fleet = [seen("h1", deployed("117"))]
    with pytest.raises(TagMoved) as caught:
        preflight.check_moved(moved, fleet)
    assert caught.value.host == "h1"
    assert "--exclude h1" in caught.value.hint


def test_start_first_by_wish_is_refused_where_it_cannot_be() -> None:
    """The order that would lose data or fail on a port is an error, not a surprise."""
    settings = replace(CHECKED, ports=(Port(80, host_port=8080),), order=Order.START_FIRST)
    fleet = [seen("h1", deployed("117", settings=settings))]
    plan = deploy(fleet, "118", settings)
    with pytest.raises(PreflightFailed, match="cannot take this"):
        preflight.check(plan, fleet, release("118"))


def test_a_plan_says_that_an_entry_point_gets_the_commands_of_tasks() -> None:
    """Such a command can be swallowed with exit code 0, which no exit code tells."""
    settings = replace(CHECKED, tasks=(Task("migrate", ("./manage.py", "migrate")),))
    fleet = [seen("h1", deployed("117"))]
    with_one = replace(release("118"), entrypoint=("/greet", "-v"))
    said = [plan_deploy(ASKED, made, {"h1": settings}, fleet).warnings for made in (with_one, release("118"))]
    assert [any("ENTRYPOINT (/greet -v)" in warning and "migrate" in warning for warning in w) for w in said] == [
        True,
        False,
    ]
