"""What hosts in memory remember of who did what: after good ends and bad ones, and whoever was silent."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from relman.hosts.state_dir import journal
from relman.hosts.state_dir.sftp_errors import explained
from relman.model.errors import PreflightFailed, RelmanError, Symptoms, Unreachable
from relman.model.plan import Kind, Result
from relman.model.settings import DeploySettings, Health, Port, Probe
from relman.model.state_dir.journal import DONE, JournalLine, JournalLines, Served
from relman.rollout import remove
from relman.rollout.looking.history import last_told, merged, put_there, ran_at
from relman.rollout.state.locks import Patience
from tests.unit.model_fleet import ModelFleet, World, cut, killed
from tests.unit.model_host import Died
from tests.unit.test_journal import AT, LINE

SECRET = "correct horse battery"
PORT = DeploySettings(
    health=Health(Probe.IMAGE, window=0.0, timeout=0.0, interval=0.0),
    ports=(Port(80, host_port=8080),),
    env={"PASSWORD": SECRET, "DEBUG": "1"},
)


def serving(count: int, *tags: str) -> World:
    """A fleet that these releases were deployed to, one after the other."""
    world = World(count, PORT)
    for tag in tags:
        assert world.deploy(tag).error is None
    return world


def last(world: World) -> list[JournalLine]:
    """The last line of every host's journal."""
    return [lines[-1] for lines in world.journals()]


def test_every_host_knows_who_deployed_what_and_why() -> None:
    """A line for each deployment, with what serves afterwards and who put it there; none where nothing changed."""
    world = serving(3, "1", "2")
    assert world.deploy("2").plan.steps == ()
    assert world.deploy("3", reason=f"INC-9 {SECRET}").error is None
    for lines in world.journals():
        assert [(line.release, line.result, line.by, line.came_to) for line in lines] == [
            (tag, Result.CHANGED, "a@b", "done") for tag in "123"
        ]
        assert lines[-1].reason == "INC-9 ***"
        assert lines[-1].serves
        assert (lines[-1].serves.id, lines[-1].serves.release) == (lines[-1].id, "3")


def test_a_failure_is_in_the_journal_of_every_host() -> None:
    """The one where it failed with what was seen there, the others with what became of them and the cause; no value of
    a variable in any of them."""
    world = serving(3, "1")
    world.hosts[1].sick = frozenset({"2"})
    assert world.deploy("2").error is not None
    one, two, three = last(world)
    assert [line.result for line in (one, two, three)] == [Result.RETURNED, Result.RETURNED, Result.NOT_REACHED]
    assert {line.came_to for line in (one, two, three)} == {"failed, rolled back"}
    assert all(line.cause.startswith("h2: the new container") for line in (one, two, three))
    assert (one.failed, three.failed) == (None, None)
    assert two.failed
    assert isinstance(two.failed.symptoms, Symptoms)
    assert [line.serves.release if line.serves else "" for line in (one, two, three)] == ["1", "1", "1"]
    assert all(SECRET.encode() not in data for h in world.hosts for p, (data, _) in h.files.items() if "journal" in p)


def test_a_rollback_says_by_whom_and_the_status_does_too() -> None:
    """The release came with one person's deployment and serves because of another's rollback."""
    world = serving(2, "1", "2")
    world.by = "carol@c"
    world.rollback()
    for seen, host, line in zip(world.seen(), world.hosts, last(world), strict=True):
        assert (line.kind, line.by, line.release) == (Kind.ROLLBACK, "carol@c", "1")
        session = ModelFleet([host]).sessions[host.name]
        assert seen.record.serving
        assert seen.record.serving.by == "a@b"
        told = last_told(session, "production", "shop")
        assert put_there(seen.record.serving, told) == ("carol@c", "rolled back")
        assert put_there(seen.record.serving, ()) == ("a@b", "deployed")


def test_whoever_is_silent_is_in_the_journals_of_the_others() -> None:
    """Whenever a host's cable is pulled: the last line of each host that answers says what became of it, how it ended,
    and which hosts did not answer, all as the report does."""
    at, silent = 1, 0
    while True:
        world = serving(3, "1")
        world.before(at, cut)
        try:
            report = world.deploy("2")
        except RelmanError:  # before any change
            at += 1
            continue
        if world.changes < at:
            break
        unknown = tuple(o.host for o in report.outcomes if o.result is Result.UNKNOWN)
        results = {o.host: o.result for o in report.outcomes}
        for host, lines in zip(world.hosts, world.journals(), strict=True):
            if host.reachable and any(r is not Result.NOT_REACHED for r in results.values()):
                assert (lines[-1].result, lines[-1].unknown) == (results[host.name], unknown), f"change {at}"
        silent += bool(unknown)
        at += 1
    assert silent > 10


def test_a_recovery_says_what_it_resolved() -> None:
    """The deployment that died, whose it was, and what it had meant: the dead one cannot say so itself."""
    at, resolved = 1, 0
    while True:
        world = serving(2, "1")
        world.before(at, killed)
        try:
            world.deploy("2")
            break
        except Died:
            world.calm()
        world.by = "carol@c"
        before = [len(lines) for lines in world.journals()]
        report = world.recover()
        after = world.journals()
        if any(o.result is not Result.UNCHANGED for o in report.outcomes):
            assert [len(lines) for lines in after] == [n + 1 for n in before]
            found = [lines[-1].resolved for lines in after if lines[-1].resolved]
            assert found
            assert {(r.id, r.by, r.message) for r in found} == {("d0002", "a@b", "at work")}
            assert {(lines[-1].kind, lines[-1].by) for lines in after} == {(Kind.RECOVER, "carol@c")}
            resolved += 1
        at += 1
    assert resolved > 10


def test_a_removal_leaves_the_journal() -> None:
    """Everything else of the service goes; who took it away stays known."""
    world = serving(2, "1")
    asked = world.asked(reason="moved to the other cluster")
    remove.remove(ModelFleet(world.hosts), asked, world.watcher, Patience(0.0, threading.Event()))
    for host, line in zip(world.hosts, last(world), strict=True):
        assert [p.rpartition("/")[2] for p in host.files] == [journal.NAME]
        assert (line.kind, line.result, line.release, line.serves) == (Kind.REMOVE, Result.REMOVED, "1", None)
        assert line.reason == "moved to the other cluster"


def test_a_journal_that_cannot_be_written_stops_nothing() -> None:
    """It is said, and the deployment is as good as without."""
    world = serving(1, "1")
    path = next(p for p in world.hosts[0].files if p.endswith(journal.NAME))
    world.hosts[0].unwritable = {path}
    assert world.deploy("2").error is None
    world.tidy()
    assert any("its journal could not be written" in text for text in world.watcher.said)


def test_a_connection_that_broke_is_no_full_disk() -> None:
    """What paramiko says of a host that died is not what SFTP says of a disk: nothing is known of that host."""
    world = World(1, PORT)
    connection = ModelFleet(world.hosts).sessions["h1"].connection
    with pytest.raises(PreflightFailed), explained(connection, "record.json"):
        raise OSError("Failure")
    world.hosts[0].reachable = False
    with pytest.raises(Unreachable), explained(connection, "record.json"):
        raise OSError("Socket is closed")


def test_a_journal_is_rotated_once_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files at most, and nothing of what they hold is lost to the reader."""
    monkeypatch.setattr(journal, "FULL", 2000)
    world = World(1, PORT)
    connection = ModelFleet(world.hosts).sessions["h1"].connection
    world.hosts[0].directories.add("/var/lib/relman/production/shop")
    for number in range(25):
        journal.append(connection, "production", "shop", replace(LINE, id=f"d{number:02}"))
    sizes = {p.rpartition("/")[2]: len(data) for p, (data, _) in world.hosts[0].files.items()}
    assert sizes.keys() == {journal.NAME, journal.OLD}
    assert max(sizes.values()) < 2000 + 300
    ids = [line.id for line in journal.read(connection, "production", "shop").lines]
    assert ids == [f"d{number:02}" for number in range(25 - len(ids), 25)]
    assert len(ids) > 10


def test_hosts_that_tell_it_otherwise_are_named() -> None:
    """A line counts for its own host: what most hosts say is shown, and who says something else is said."""
    forged = replace(LINE, by="eve@x", release="9", result=Result.RETURNED)
    told = merged({h: {"shop": JournalLines((line,))} for h, line in {"h1": forged, "h2": LINE, "h3": LINE}.items()})
    assert [(t.line.by, t.line.release, t.hosts["h1"].result) for t in told] == [("ann@laptop", "2", Result.RETURNED)]
    said = " ".join(told[0].contradictions)
    assert "h1 differs on d1: by 'eve@x', not 'ann@laptop'" in said
    assert "release '9', not '2'" in said
    assert "h2" not in said


def _at(minute: int) -> str:
    return f"2026-01-01T00:{minute:02}:00Z"


def _line(minute: int, result: Result, release: str, kind: Kind = Kind.DEPLOY) -> JournalLine:
    served = Served(release, release, "", "", "ann", AT) if release else None
    return JournalLine(f"d{minute}", kind, f"by{minute}", _at(minute - 1), _at(minute), result, serves=served)


HISTORY = [
    _line(10, Result.CHANGED, "1"),
    _line(20, Result.RETURNED, "1"),
    _line(30, Result.CHANGED, "2"),
    _line(40, Result.CHANGED, "1", Kind.ROLLBACK),
    _line(45, Result.NOT_REACHED, "1"),
    _line(50, Result.FAILED, "1"),
    _line(55, Result.REMOVED, "", Kind.REMOVE),
]


@pytest.mark.parametrize(
    ("minute", "release", "since", "by", "why"),
    [
        (5, "", "", "", "does not go back that far"),
        (10, "1", _at(10), "by10", ""),
        (25, "1", _at(10), "by10", ""),
        (35, "2", _at(30), "by30", ""),
        (47, "1", _at(40), "by40", ""),
        (52, "", "", "by50", "not known after d50"),
        (58, "", _at(55), "by55", "was not there"),
    ],
)
def test_what_ran_when(minute: int, release: str, since: str, by: str, why: str) -> None:
    """Of every moment: the release that served, since when, and who put it there; what failed changes nothing."""
    ran = ran_at(HISTORY, _at(minute))
    assert (ran.serves.release if ran.serves else "", ran.since) == (release, since)
    assert (ran.line.by if ran.line else "") == by
    assert why in ran.why


def test_what_ran_before_the_journal_s_first_line() -> None:
    """A deployment that failed tells what ran, and since when; one that goes on is named."""
    assert ran_at(HISTORY[1:], _at(22)).since == AT
    assert ran_at(HISTORY, "2026-01-01T00:29:30Z").under_way == "d30"


def test_every_kind_of_plan_has_its_word() -> None:
    """What was done is said in the past."""
    assert set(DONE) == set(Kind)
    assert json.loads(LINE.encode())["kind"] == "deploy"
