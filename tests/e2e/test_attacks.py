"""One host in the hands of an attacker, h1: its root writes into record and lock what it likes. The others do not run
it, are not hurried by it, and send nobody a password; what stops is stopped by its name."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relman.model.image import ManifestDigest
from tests.e2e.stage import ALL_AT_ONCE, Stage
from tests.lab import images
from tests.lab.host import LabHost
from tests.lab.layout import LabError
from tests.lab.process import until
from tests.lab.spy import Spy, spying

STATE = "/var/lib/relman/production/demo"


@pytest.fixture
def serving(stage: Stage) -> Stage:
    """Release 2 serves everywhere, and 1 before."""
    stage.deploy("1", *ALL_AT_ONCE)
    stage.deploy("2", *ALL_AT_ONCE)
    stage.serve("2")
    return stage


@pytest.fixture
def spy(stage: Stage) -> Iterator[Spy]:
    """A registry of the attacker's, to which an engine that is sent there does tell the password."""
    with spying(stage.lab, stage.lab.hosts) as spy:
        with stage.lab.hosts[0].engine() as engine, pytest.raises(LabError):
            images.pull(engine, f"{spy.address}/demo", "1", stage.lab.registry.auth)
        assert spy.told
        spy.asked.clear()
        spy.told.clear()
        yield spy


def containers(stage: Stage) -> list[list[str]]:
    """The running containers of every host."""
    found = []
    for host in stage.lab.hosts:
        with host.engine() as engine:
            found.append(sorted(c["Id"] for c in engine.containers()))
    return found


def forge(host: LabHost, change: Callable[[dict[str, Any]], object]) -> None:
    """Let the host's root write its record."""
    path = host.path(f"{STATE}/record.json")
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_an_entry_that_a_host_made_up_runs_nowhere_and_no_password_goes_to_its_registry(
    serving: Stage, spy: Spy
) -> None:
    """An untested image of another registry, with the host's disk mounted, "proven": the rollback is refused with h1's
    name and what it wants; nobody is sent there. A person who names the release of the others gets it everywhere."""
    h1 = serving.lab.hosts[0]

    def evil(record: dict[str, Any]) -> None:
        entry = {**record["entries"][0], "id": "evil", "release": "evil", "repository": f"{spy.address}/demo"}
        entry |= {"manifest": str(ManifestDigest.of(b"evil")), "kept_as": "relman.kept/production/demo:evil"}
        entry["settings"] = {
            **entry["settings"],
            "volumes": [{"source": "/", "target": "/host", "read_only": False}],
            "max_unavailable": "100%",
        }
        record["entries"].insert(1, entry)

    forge(h1, evil)
    before = containers(serving)
    said = serving.rollback(code=4).err
    assert "h1: 2 -> evil" in said
    assert "h2: 2 -> 1" in said
    assert "relman rollback -e production --to 1" in said
    assert "h2, h3 have no entry of their own for evil" in serving.rollback("--to", "evil", code=4).err
    alone = serving.rollback("--to", "evil", "--only", "h1", code=4).err
    assert f"could not pull {serving.repository}@{ManifestDigest.of(b'evil')}" in alone
    assert containers(serving) == before
    assert (spy.asked, spy.told) == ([], [])
    serving.rollback("--to", "1")
    serving.serve("1")
    assert (spy.asked, spy.told) == ([], [])


def test_a_record_that_names_another_registry_sends_no_engine_there(serving: Stage, spy: Spy) -> None:
    """The very release that all go back to, but from elsewhere: h1, which has lost the image, gets it by its digest
    from the inventory's repository. Evidence is looked for there, too, whatever the last host says."""
    h1 = serving.lab.hosts[0]
    forge(h1, lambda record: [e.update(repository=f"{spy.address}/demo") for e in record["entries"]])
    with h1.engine() as engine:
        stopped = engine.containers(all=True, filters={"status": "exited"})
        for container in stopped:
            engine.remove_container(container["Id"])
            engine.remove_image(container["ImageID"], force=True)
    assert len(stopped) == 1
    serving.rollback()
    serving.serve("1")
    elsewhere = f"{serving.lab.registry.address}/elsewhere"
    forge(serving.lab.hosts[2], lambda record: [e.update(repository=elsewhere) for e in record["entries"]])
    assert "what was tested" in serving.relman("verify", "-e", "production").text
    assert (spy.asked, spy.told) == ([], [])


def test_settings_that_a_host_made_up_neither_hurry_the_others_nor_drop_what_they_keep(serving: Stage) -> None:
    """All at once, nothing kept: h1 says so, and its mount is shown in the plan as its own; the others go one by one,
    and keep their images."""
    hurry = {"max_unavailable": "100%", "keep": 0, "on_failure": "continue"}
    mount = [{"source": "/", "target": "/host", "read_only": False}]
    forge(serving.lab.hosts[0], lambda r: r["entries"][0]["settings"].update(hurry, volumes=mount))
    shown = serving.relman("rollback", "-e", "production", "--plan").out
    assert "settings that change on h1:\n  + volumes: /:/host" in shown
    assert "if it fails: every changed host rolls back" in shown
    plan = json.loads(serving.relman("--json", "rollback", "-e", "production", "--plan").out)
    assert [[s["host"] for s in w["steps"]] for w in plan["waves"]] == [["h1"], ["h2"], ["h3"]]
    serving.rollback()
    serving.serve("1")
    for host in serving.lab.hosts[1:]:
        with host.engine() as engine:
            assert len(engine.images(name="relman.kept/production/demo")) == 2
            (running,) = engine.containers()
            assert not engine.inspect_container(running["Id"])["HostConfig"]["Binds"]


def test_a_record_that_says_done_finishes_an_interrupted_deployment_on_no_other_host(serving: Stage) -> None:
    """relman died inside a gap of the second wave: h1 says that all is done, and stays as it says; the others go back,
    and the exit code and its words say that they differ."""
    killed = serving.relman_killed("start", 2, "deploy", "3", "-e", "production", "--yes")
    assert killed == -signal.SIGKILL
    h1 = serving.lab.hosts[0]
    entry = json.loads(h1.path(f"{STATE}/lock.json").read_text())["intent"]["entry"]
    with h1.engine() as engine:
        (running,) = engine.containers()

    def done(record: dict[str, Any]) -> None:
        record["entries"].append({**entry, "proven": True, "container": running["Id"]})
        record["current"] = entry["id"]

    forge(h1, done)
    said = serving.relman("recover", "-e", "production", code=6).err
    assert "finished on h1" in said
    until(lambda: serving.versions() == ["3", "2", "2"], f"the others to be back, not {serving.versions()}", 15)


def test_a_lock_that_a_host_made_up_is_resolved_there_and_nowhere_else(serving: Stage) -> None:
    """An intent of a deployment that never was: deploy stops by the host's name, recover undoes it there, and every
    container stays as it is."""
    h1 = serving.lab.hosts[0]
    record = json.loads(h1.path(f"{STATE}/record.json").read_text())
    with h1.engine() as engine:
        (running,) = engine.containers()
    intent = {"old": running["Id"], "old_restart": "unless-stopped", "new_name": "evil", "entry": record["entries"][0]}
    intent |= {"stop_first": True, "reused": False, "rollback": False}
    lock = {"version": 1, "owner": "mallory", "machine": "x", "pid": 1, "token": "t", "deployment": "evil"}
    lock |= {"message": "deploying evil", "ttl": 0.0, "phase": "changing", "since": "", "intent": intent}
    h1.path(f"{STATE}/lock.json").write_text(json.dumps(lock))
    before = containers(serving)
    said = serving.deploy("3", code=7).err
    assert "h1" in said
    assert "mallory" in said
    said = serving.relman("recover", "-e", "production").text
    assert "undoing it" in said
    assert containers(serving) == before


def test_what_a_host_says_of_a_tag_or_of_another_host_is_its_word(serving: Stage) -> None:
    """A tag that it remembers with another digest stops the deployment by its name, and goes on without it; whom it
    says to have been left out is shown as what it says."""
    h1 = serving.lab.hosts[0]
    lie = {"host": "h3", "release": "evil", "manifest": str(ManifestDigest.of(b"evil")), "by": "mallory"}
    lie |= {"at": "2099-01-01T00:00:00Z", "reason": "deploy evil there"}

    def forged(record: dict[str, Any]) -> None:
        entry = {**record["entries"][0], "id": "evil", "release": "3", "manifest": str(ManifestDigest.of(b"evil"))}
        record["entries"].insert(0, entry)
        record["left_out"] = [lie]

    forge(h1, forged)
    said = serving.deploy("3", code=3).err
    assert "h1: the release tag" in said
    assert "--exclude h1" in said
    notes = {row["host"]: row["notes"] for row in serving.status()}
    assert notes["h3"][0].startswith("h1 says that it was left out of evil by mallory")
    assert (notes["h1"], notes["h2"]) == ([], [])
    serving.serve("2")
    serving.deploy("3", "--exclude", "h1", "--reason", "it lies")
    assert serving.versions()[1:] == ["3", "3"]
