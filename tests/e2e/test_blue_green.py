"""Blue/green behind the proxies: both releases run on all hosts, and one switch is between them."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from tests.e2e.proxied import BEHIND, NAME, first_of, haproxy, inventory, lossless
from tests.e2e.stage import ALL_AT_ONCE, Stage
from tests.lab.load import load
from tests.lab.process import until

ALL: Mapping[str, Any] = {**BEHIND, "max_unavailable": "100%"}
DEPLOY = ("-e", "production", "--yes")


def running(stage: Stage) -> list[list[tuple[str, str]]]:
    """The release and the start of every container of the service that runs, by host."""
    found = []
    for host in stage.lab.hosts:
        with host.engine() as engine:
            own = [c for c in engine.containers() if "relman.release" in c["Labels"]]
            states = [(c["Labels"]["relman.release"], engine.inspect_container(c["Id"])["State"]) for c in own]
            found.append(sorted((release, state["StartedAt"]) for release, state in states))
    return found


def test_both_releases_run_until_the_pause_is_over_and_nobody_notices_a_way_back(stage: Stage) -> None:
    """In the pause all hosts serve the new release, the old one runs, and status says so; Ctrl-C goes back without a
    start, a death is finished by the recovery, and a deployment that is left alone stops the old containers; no request
    fails."""
    inventory(stage, haproxy(stage, 1), demo={"hosts": [NAME]})
    stage.release("blue", deploy=ALL)
    stage.release("green", deploy={**ALL, "strategy": {"blue_green": {"pause": "3s"}}})
    stage.release("teal", deploy={**ALL, "strategy": {"blue_green": {"pause": "60s"}}})
    stage.relman("proxy", "apply", "-e", "production")
    stage.deploy("blue")
    before = running(stage)
    with load(first_of(stage)) as counted:
        going = stage.start("deploy", "teal", *DEPLOY)
        going.says("while the old containers still run", 90)
        assert [[release for release, _ in host] for host in running(stage)] == [["blue", "teal"]] * 3
        notes = [note for row in stage.status() for note in row["notes"]]
        assert all("it serves, and blue still runs beside it" in note for note in notes), notes
        assert len(notes) == 3
        going.send(signal.SIGINT)
        ended = going.ended(60)
        assert ended.code == 130, ended.out
        assert running(stage) == before
        assert "done: demo green serves on 3 hosts" in stage.deploy("green").out
        assert [[release for release, _ in host] for host in running(stage)] == [["green"]] * 3
        going = stage.start("deploy", "teal", *DEPLOY)
        going.says("while the old containers still run", 90)
        going.send(signal.SIGKILL)
        going.ended(60)
        assert "relman recover" in stage.deploy("blue", code=7).text
        stage.relman("recover", "-e", "production")
        assert [[release for release, _ in host] for host in running(stage)] == [["teal"]] * 3
        stage.rollback(*ALL_AT_ONCE)
        until(lambda: counted.requests > 100, "requests")
    lossless(counted, "blue", "green", "teal")
