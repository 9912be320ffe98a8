"""A restart is a rollout of what each host serves already, and changes no way back."""

from __future__ import annotations

import pytest

from relman.model.errors import PreflightFailed
from relman.model.plan import Action, Kind
from relman.model.state_dir.record import Unit
from relman.rollout.planning.restart import plan_restart
from relman.rollout.state.next_record import remembered
from tests.unit.test_planner import ASKED, seen
from tests.unit.values import deployed


def test_each_host_restarts_its_own_release() -> None:
    """The entry is the host's own with the restart's id, also where nothing runs, and hosts may differ."""
    fleet = [
        seen("h1", deployed("116"), deployed("117")),
        seen("h2", deployed("116"), running=False),
        seen("h3", deployed("117")),
    ]
    plan = plan_restart(ASKED, fleet)
    assert (plan.kind, plan.release, plan.tasks, plan.hooks) == (Kind.RESTART, "117, 116", (), ())
    found = {s.host: (s.action, s.entry.release, s.entry.id, s.entry.container) for s in plan.steps}
    assert found == {
        "h1": (Action.REPLACE, "117", "new", ""),
        "h2": (Action.START, "116", "new", ""),
        "h3": (Action.REPLACE, "117", "new", ""),
    }
    assert [len(wave.steps) for wave in plan.waves] == [1, 1, 1]


def test_restarts_push_no_release_out_of_the_record() -> None:
    """The restarted entry takes the place of the one that served, however often."""
    host = seen("h1", deployed("116"), deployed("117"))
    record = host.record
    for number in range(9):
        plan = plan_restart(ASKED, [host])
        step = plan.steps[0]
        assert step.restores
        assert step.restores.release == "116"
        record = remembered(plan, step, (Unit("", 1, f"c{number}", f"{number}" * 64),), host.record, proven=True)
        assert [e.release for e in record.entries] == ["116", "117"]
        assert record.serving
        assert (record.serving.id, record.serving.container) == ("new", f"{number}" * 64)
        host = seen("h1", *record.entries)


@pytest.mark.parametrize("proof", [True, False])
def test_a_restart_that_failed_elsewhere_takes_no_proof(proof: bool) -> None:
    """Where a host was restarted and others were not, its release is as proven there as before."""
    host = seen("h1", deployed("117", proven=proof))
    plan = plan_restart(ASKED, [host])
    record = remembered(plan, plan.steps[0], (Unit("", 1, "c", "1" * 64),), host.record, proven=False)
    assert [e.proven for e in record.entries] == [proof]


def test_a_host_without_a_release_is_named() -> None:
    """Nothing is restarted where one of the hosts has nothing to restart."""
    with pytest.raises(PreflightFailed, match="nothing was deployed on h2"):
        plan_restart(ASKED, [seen("h1", deployed("117")), seen("h2")])
