"""The use cases as another front calls them, a page or an API: without a terminal, ten lines each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relman.app.context import Context
from relman.app.deployments.deploy import open_deployment
from relman.app.deployments.rollback import open_rollback
from relman.app.environments import Request
from relman.app.looking.status import status
from relman.rollout.fleet import SILENT
from tests.e2e.stage import Stage


@dataclass
class Heard:
    """Events of a use case, in a list."""

    said: list[str] = field(default_factory=list)

    def phase(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)

    heading = note = line = warn = warn_once = phase

    def hide(self, secrets: Iterable[str]) -> None:
        """There are none."""
        assert not list(secrets)

    def json(self, kind: str, data: Mapping[str, Any]) -> None:
        """Keep that there was one."""
        self.said.append(f"{kind}: {len(data)} keys")


def test_deploy_status_and_rollback_without_a_terminal(stage: Stage) -> None:
    """Each is a request and a report: the plan before anything changes, what became of each host, what runs there now;
    and the history has them."""
    heard = Heard()
    context, request = Context(events=heard, environ=stage.env), Request("production")

    for tag in ("1", "2"):
        with open_deployment(context, request, tag) as deployment:
            plan = deployment.preview()
            report = deployment.carry_out(SILENT, plan)
        assert (plan.release, report.error) == (tag, None)
        assert [str(o.result) for o in report.outcomes] == ["changed"] * 3

    found = status(context, request)
    assert {(row.release, row.health) for row in found.rows} == {("2", "healthy")}
    assert found.verdict() is None

    with open_rollback(context, request) as rollback:
        assert rollback.preview().release == "1"
        assert rollback.carry_out(SILENT).error is None
    stage.serve("1")

    assert any("signatures are not checked" in text for text in heard.said)
    assert [line.split()[2:4] for line in stage.relman("history").out.splitlines()[1:4]] == [
        ["rolled", "back"],
        ["deployed", "2"],
        ["deployed", "1"],
    ]
