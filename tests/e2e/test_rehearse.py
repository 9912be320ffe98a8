"""A rollback is rehearsed: the release of before is started beside what serves, which nobody notices."""

from __future__ import annotations

import json
import signal

from tests.e2e.stage import ALL_AT_ONCE, PORT, Stage
from tests.lab.process import until

REHEARSE = ("rollback", "-e", "production", "--rehearse")


def containers(stage: Stage, *, running: bool = False) -> list[list[str]]:
    """The containers of every host, by their names."""
    found = []
    for host in stage.lab.hosts:
        with host.engine() as engine:
            found.append(sorted(c["Names"][0].lstrip("/") for c in engine.containers(all=not running)))
    return found


def test_what_a_rollback_would_start_is_started_and_nothing_that_serves_changes(serving: Stage) -> None:
    """Every host is ready, as long as it has the image and the release is well there; no registry is asked, no port
    taken, nothing left; each host that is not ready is named, with what it takes. The rollback then works."""
    serving.deploy("2", *ALL_AT_ONCE)
    before = containers(serving)
    serving.write_inventory(relman_services={"demo": "127.0.0.1:1/demo"})
    said = serving.relman(*REHEARSE)
    assert "3 of 3 ready" in said.out, said.text
    assert containers(serving) == before
    serving.serve("2")
    document = json.loads(serving.relman("--json", *REHEARSE).out.splitlines()[0])
    assert (document["kind"], document["ready"], document["release"]) == ("rehearsal", 3, "1")
    serving.write_inventory()
    with serving.lab.hosts[0].engine() as engine:
        (kept,) = (c for c in engine.containers(all=True) if c["State"] != "running")
        engine.remove_container(kept["Id"])
        engine.remove_image(kept["ImageID"], force=True)
    said = serving.relman(*REHEARSE, code=13)
    assert "2 of 3 ready" in said.text
    assert "there: docker pull" in said.text
    serving.rollback()
    serving.serve("1")


def test_what_must_not_run_twice_is_not_started_and_what_a_host_lost_is_named(serving: Stage) -> None:
    """Of a set the process that writes a volume is left out, by its name; where a network is gone since, each host says
    so, and nothing is left."""
    alone = {"ports": [], "health": {"none": True, "window": "0.5s"}}
    processes = {"web": {}, "worker": {**alone, "volumes": ["data:/data"]}}
    for host in serving.lab.hosts:
        with host.engine() as engine:
            engine.create_network("aside")
    for tag in ("rehearsed-1", "rehearsed-2"):
        serving.release(tag, deploy={"processes": processes})
    serving.release("aside", deploy={**alone, "networks": ["aside"]})
    for tag in ("aside", "rehearsed-1", "rehearsed-2"):
        serving.deploy(tag, *ALL_AT_ONCE)
    said = serving.relman(*REHEARSE)
    assert "not rehearsed on h1, h2, h3: worker would run twice (both write data)" in said.out, said.text
    assert "3 of 3 ready" in said.out
    before = containers(serving)
    for host in serving.lab.hosts:
        with host.engine() as engine:
            engine.remove_network("aside")
    said = serving.relman(*REHEARSE, "--to", "aside", code=13)
    assert "0 of 3 ready" in said.text
    assert all(f"{h.name}: there is no network aside" in said.text for h in serving.lab.hosts), said.text
    assert containers(serving) == before


def test_what_a_killed_rehearsal_left_never_serves_and_is_removed(serving: Stage) -> None:
    """Its container is told of, a reboot does not start it, and the next command removes it."""
    serving.deploy("2", *ALL_AT_ONCE)
    before = containers(serving)
    assert serving.relman_killed("stop", 1, *REHEARSE) == -signal.SIGKILL
    assert containers(serving) != before
    rows = serving.status()
    assert all(row["release"] == "2" and any("rehearsal" in note for note in row["notes"]) for row in rows), rows
    host = serving.lab.hosts[0]
    host.reboot()
    until(lambda: host.http(PORT, "/version").text.strip() == "2", "what serves")
    with host.engine() as engine:
        assert [c["Names"][0] for c in engine.containers() if "rehearsal" in c["Names"][0]] == []
    serving.relman("recover", "-e", "production")
    assert containers(serving) == before
    assert "3 of 3 ready" in serving.relman(*REHEARSE).out
