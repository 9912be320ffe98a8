"""Playbooks against the lab: the shipped ones by what they do to hosts."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.stage import PORT, ROOT, Stage

RELEASE = """
vars: {staging_url: null, tag: null}
stages:
  - deploy: {release: "${tag}", environment: staging}
    timeout: 60
  - check: {http: {url: "${staging_url}/health"}}
    timeout: 20
  - confirm: Go on?
  - deploy: {release: "${tag}", environment: production}
    timeout: 60
  - check: {command: "relman status -e production"}
"""


def states(stage: Stage, *arguments: str, code: int = 0) -> list[tuple[int, int]]:
    """The stages that were done, with their exit codes."""
    lines = stage.relman("--json", "run", *arguments, code=code).out.splitlines()
    documents: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [(d["number"], d["exit"]) for d in documents if d["kind"] == "stage"]


def test_a_release_by_way_of_staging_and_back(stage: Stage) -> None:
    """A release that fails on staging ends the playbook with deploy's own exit code, and production is never touched;
    a good one goes through. The one for rollbacks brings the release before back."""
    names = [host.name for host in stage.lab.hosts]
    groups = {"staging": {"hosts": {names[0]: None}}, "production": {"hosts": dict.fromkeys(names[1:])}}
    stage.write_inventory(groups)
    (stage.home / "p.yml").write_text(RELEASE.replace("relman status", f"{' '.join(stage.argv())} status"))
    url = f"http://{stage.lab.hosts[0].address}:{PORT}"
    given = ("p.yml", "--yes", "-v", f"staging_url={url}", "-v")
    assert states(stage, *given, "tag=1") == [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]
    assert states(stage, *given, "tag=sick", code=5) == [(1, 5)]
    assert states(stage, *given, "tag=2") == [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]
    stage.serve("2")
    back = (str(ROOT / "playbooks/rollback.yml"), "--yes", "-v", f"url=http://{stage.lab.hosts[1].address}:{PORT}")
    assert states(stage, *back) == [(1, 0), (2, 0), (3, 0)]
    assert [host.http(PORT, "/version").text.strip() for host in stage.lab.hosts] == ["2", "1", "1"]


def test_a_stage_may_leave_gates_out_for_a_reason(stage: Stage) -> None:
    """What a person decided stands on every host and in the history; without it the stage is refused."""
    stage.image("hotfix")
    step = "stages: [{deploy: {release: hotfix, environment: production%s}}]\n"
    skip = ", unsafe_skip_gate: [tests-passed, release-statement], reason: the shop is down"
    for text, code in ((step % "", 3), (step % skip, 0)):
        (stage.home / "p.yml").write_text(text)
        assert states(stage, "p.yml", code=code) == [(1, code)]
    stage.serve("hotfix")
    assert all("the shop is down" in " ".join(row["notes"]) for row in stage.status())
    assert "the shop is down" in stage.relman("history", "-e", "production").out


def test_a_playbook_that_stopped_in_production_goes_on_there(stage: Stage) -> None:
    """With a host away the last deployment fails (4), staging is done; --resume deploys only what is left."""
    names = [host.name for host in stage.lab.hosts]
    stage.write_inventory({"staging": {"hosts": {names[0]: None}}, "production": {"hosts": {names[1]: None}}})
    (stage.home / "p.yml").write_text(RELEASE.replace("relman status", f"{' '.join(stage.argv())} status"))
    url = f"http://{stage.lab.hosts[0].address}:{PORT}"
    stage.lab.hosts[1].stop_engine()
    assert states(stage, "p.yml", "--yes", "-v", f"staging_url={url}", "-v", "tag=3", code=4)[-1] == (4, 4)
    stage.lab.hosts[1].start_engine()
    assert states(stage, "p.yml", "--yes", "--resume") == [(4, 0), (5, 0)]
    assert [host.http(PORT, "/version").text.strip() for host in stage.lab.hosts[:2]] == ["3", "3"]
