"""Ask `relman status` what to type next, and type it."""

from __future__ import annotations

import json
import re
import shlex

from tests.e2e.stage import Stage
from tests.lab.host import LabHost
from tests.lab.process import until

P = ("-e", "production")


def hint(stage: Stage, code: int, *arguments: str) -> str:
    """What status, which has to end with this code, says to type next."""
    said = stage.relman("--json", "status", *P, *arguments, code=code)
    document = json.loads(said.out.splitlines()[-1])
    assert document["code"] == code
    return str(document["hint"])


def follow(stage: Stage, way_out: str, tag: str = "2") -> None:
    """Do what a way out says: commands of relman here, others on their hosts."""
    for part in way_out.partition(" (")[0].split("; "):
        if match := re.fullmatch(r"on (.+?): (.+)", part):
            for host in stage.lab.hosts:
                if host.name in match[1].split(", "):
                    host.run(["sh", "-c", match[2]])
            continue
        words = shlex.split(part.replace("TAG", tag))
        assert words[0] == "relman", way_out
        stage.relman(*words[1:], *(["--yes"] if words[1] in ("deploy", "rollback") else []))


def walk(stage: Stage, code: int, version: str) -> str:
    """Status says `code`; what it says to type next, and nothing else, brings every host back to `version`, in one
    container each, and status to 0."""
    way_out = hint(stage, code)
    follow(stage, way_out)
    until(lambda: stage.any("status", *P).code == 0, f"well after {way_out}", 20)
    stage.serve(version)
    assert [_running(host) for host in stage.lab.hosts] == [1, 1, 1]
    return way_out


def _running(host: LabHost) -> int:
    with host.engine() as engine:
        return len(engine.containers(filters={"label": "relman.service=demo"}))
