"""blue_green: what it is, and what cannot be had with it."""

from __future__ import annotations

import io

import pytest

from relman.cli.output.plan_view import show_plan
from relman.cli.output.printer import Output
from relman.config.deploy import resolve
from relman.config.service import parse_service
from relman.model.container import DEPLOYMENT, Container, EngineFacts
from relman.model.errors import ConfigError
from relman.model.plan import Observed, Plan
from relman.model.settings import DeploySettings
from relman.model.state_dir.record import HostRecord
from relman.rollout.planning.planner import Asked, plan_deploy
from tests.unit.model_fleet import ROUTE, release
from tests.unit.model_host import AMD64
from tests.unit.values import deployed

HEAD = "service: shop\nregistry: r.example.com\n"
ASKED = Asked("new", "2026-02-01T00:00:00Z", "a@b", "shop", "production")
GOOD = "  health: {none: true}\n  proxy: {port: 80}\n"
BOTH = "  strategy: {blue_green: {pause: 5m}}\n"


def settings(deploy: str) -> DeploySettings:
    """What a host runs by this deploy section."""
    service = parse_service(f"{HEAD}deploy:\n{deploy}".encode(), "relman.yml")
    return resolve(service.deploy, {}, {}, origin="relman.yml")


def planned(own: DeploySettings, count: int, *, running: bool = True) -> Plan:
    """The plan of 118 on hosts that run 117."""
    entry = deployed("117", settings=own)
    labels = {DEPLOYMENT: entry.id}
    runs = (Container(entry.container, "c", entry.image_id, "running", labels=labels),) if running else ()
    record = HostRecord("shop", "production", (entry,), entry.id)
    facts = EngineFacts("20.10", AMD64, False, 0.0)
    fleet = [Observed(f"h{i}", facts, record, containers=runs) for i in range(count)]
    hosts = [o.host for o in fleet]
    return plan_deploy(ASKED, release("118"), dict.fromkeys(hosts, own), fleet, routes=dict.fromkeys(hosts, ROUTE))


@pytest.mark.parametrize(
    ("deploy", "line"),
    [
        ("  health: {none: true}\n" + BOTH, "5:26: deploy.strategy.blue_green: the proxy makes the switch"),
        (GOOD + BOTH + "  singleton: true\n", "7:14: deploy.singleton: blue_green runs both releases"),
        (GOOD + BOTH + "  order: stop-first\n", "7:10: deploy.order: blue_green runs both releases"),
        (GOOD + BOTH + "  ports: ['8080:80']\n", "7:10: deploy.ports: blue_green runs both releases"),
        (GOOD + BOTH + "  volumes: ['data:/data']\n", "7:12: deploy.volumes: blue_green runs both releases"),
        (GOOD + BOTH + "  on_failure: halt\n", "7:15: deploy.on_failure: blue_green changes all hosts or none"),
        (GOOD + BOTH + "  max_failures: 1\n", "7:17: deploy.max_failures: blue_green changes all hosts or none"),
        (
            GOOD + BOTH + "  processes: {web: {}, worker: {proxy: null, max_hosts: 1}}\n",
            "7:57: deploy.processes.worker.max_hosts: blue_green runs both releases",
        ),
        (
            GOOD + "  strategy: {blue_green: {pause: 0s, check: {proxy: {errors_below: 1%}}}}\n",
            "6:34: deploy.strategy.blue_green.pause: check.proxy counts what users see during it",
        ),
    ],
)
def test_what_keeps_both_from_running_is_refused_where_it_stands(deploy: str, line: str) -> None:
    """Before anything is built: the file, the line, the key, and why."""
    with pytest.raises(ConfigError) as caught:
        settings(deploy)
    assert any(line in each for each in caught.value.details), caught.value.details


def test_volumes_that_several_write_anyway_are_no_obstacle() -> None:
    """Two replicas of one release write it at any time, so two releases may; and one that is only read is shared."""
    own = settings(GOOD + BOTH + "  processes: {web: {replicas: 2, volumes: ['data:/data', 'page:/page:ro']}}\n")
    assert own.strategy.bake == 300.0


def test_all_hosts_are_one_wave_with_one_switch_unless_somebody_wants_fewer() -> None:
    """The plan says what comes before the next step; where nothing runs yet, there is nothing to watch beside it."""
    own = settings(GOOD + BOTH)
    (wave,) = planned(own, 40).waves
    assert (wave.both, wave.bake, len(wave.steps)) == (True, 300.0, 40)
    assert [w.bake for w in planned(own, 3, running=False).waves] == [0.0]
    few = planned(settings(GOOD + BOTH + "  max_unavailable: 25%\n"), 8)
    assert [(len(w.steps), w.both) for w in few.waves] == [(2, True)] * 4
    out = io.StringIO()
    show_plan(Output(json=False, environ={}, stdout=out, stderr=io.StringIO(), stdin=None), planned(own, 3))
    said = "new containers on all its hosts, then one switch, watched for 300 s while the old ones still run"
    assert f"wave 1: {said}" in out.getvalue()
