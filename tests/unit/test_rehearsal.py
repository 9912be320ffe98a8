"""The rehearsal of a rollback: what its containers share with those that serve, and what is said of it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from relman.cli.exits import exit_of
from relman.cli.output.printer import Output
from relman.cli.output.rehearsal_view import show_rehearsal
from relman.model.container import ENVIRONMENT, REHEARSAL, SERVICE
from relman.model.container_settings import ContainerSettings
from relman.model.errors import Cancelled, CheckFailed, StepFailed, Unknown, Unreachable
from relman.model.proxy_settings import ProxySettings
from relman.model.settings import DeploySettings, Mount, Order, Port, Process, RunSettings
from relman.model.state_dir.record import Unit
from relman.rollout.planning.planner import Asked
from relman.rollout.planning.rehearsal import HostRehearsal, Rehearsal, plan_rehearsal
from relman.rollout.proxy.container import NETWORK
from relman.rollout.rehearsal.containers import outside_rotation, spec_of
from relman.rollout.rehearsal.rehearse import RehearsalReport, RehearsalResult, Rehearsed, concluded
from tests.unit.model_fleet import serving
from tests.unit.values import FREE, HEALTH, deployed

ASKED = Asked("new", "2026-02-01T00:00:00Z", "a@b", "shop", "production")
READY = Rehearsed("h1", RehearsalResult.READY, "healthy", boot=0.5)


def report(*found: Rehearsed | Exception, alone: Mapping[str, str] | None = None) -> RehearsalReport:
    """What came of it, host by host, where these processes must not run twice."""
    hosts = tuple(HostRehearsal(f"h{n}", alone=alone or {}) for n in range(1, len(found) + 1))
    plan = Rehearsal("new", "shop", "production", "117", "sha256:" + "0" * 64, hosts)
    by_host = {
        h.host: replace(f, host=h.host) if isinstance(f, Rehearsed) else f for h, f in zip(hosts, found, strict=True)
    }
    return concluded(ASKED, plan, by_host)  # type: ignore[arg-type]


def test_nothing_leads_anybody_to_a_container_of_a_rehearsal() -> None:
    """No port of the host, no label of the release, no name in a network; all else is as it serves."""
    settings = RunSettings(
        ports=(Port(80, host_port=8080), Port(81, "udp")),
        env={"A": "1"},
        networks=("backend",),
        volumes=(Mount("page", "/page", read_only=True),),
        aliases={"backend": ("shop.local",)},
        container=ContainerSettings(labels={"traefik.enable": "true"}, hostname="shop", user="1000"),
        proxy=ProxySettings(80),
    )
    run = outside_rotation(settings)
    assert run.ports == (Port(80), Port(81, "udp"))
    assert (run.restart, run.aliases, run.networks) == ("no", {}, ("backend", NETWORK))
    assert run.container == ContainerSettings(user="1000")
    assert (run.env, run.volumes, run.health) == (settings.env, settings.volumes, settings.health)
    spec = spec_of(ASKED, deployed("a"), "image", Unit("web", 1, "shop-web"), settings)
    assert spec.labels[REHEARSAL] == "production/shop"
    assert not {SERVICE, ENVIRONMENT} & spec.labels.keys()
    assert (spec.aliases, spec.addresses) == ((), {})


@pytest.mark.parametrize(
    ("process", "why"),
    [
        (Process("job", run=RunSettings(health=HEALTH, singleton=True)), "singleton"),
        (Process("job", run=RunSettings(health=HEALTH, order=Order.STOP_FIRST)), "order: stop-first"),
        (Process("job", run=RunSettings(health=HEALTH, networks=("host",))), "it uses the host's network"),
        (Process("job", max_hosts=1, run=RunSettings(health=HEALTH)), "max_hosts: 1"),
        (Process("job", run=RunSettings(health=HEALTH, volumes=(Mount("data", "/data"),))), "both write data"),
        (Process("job", run=RunSettings(health=HEALTH, ports=(Port(80, host_port=8080),))), ""),
        (Process("job", 2, RunSettings(health=HEALTH, volumes=(Mount("data", "/data"),))), ""),
    ],
)
def test_what_must_not_run_twice_is_not_started(process: Process, why: str) -> None:
    """A port of the host is no reason, since it is not taken."""
    both = DeploySettings(health=HEALTH, processes=(Process("web", run=RunSettings(health=HEALTH)), process))
    (host,) = plan_rehearsal(ASKED, serving(1, both, "1", "2").seen()).hosts
    assert dict(host.alone) == ({"job": why} if why else {})
    assert {u.process for u in host.units} == ({"web"} if why else {"web", "job"})


def test_the_end_counts_and_names_who_is_not_ready() -> None:
    """40 of 40 ready, and 0; else 13 with what each host lacks; a host that fell silent is unknown, 11."""
    assert (report(*[READY] * 40).error, report(*[READY] * 40).counted) == (None, "40 of 40 ready")
    bad = report(READY, StepFailed("is not healthy", details=["log: no such table"], hint="look"))
    assert isinstance(bad.error, CheckFailed)
    assert exit_of(type(bad.error)) == 13
    assert bad.error.details == ("h2: is not healthy", "  log: no such table", "  look")
    away = report(READY, Unreachable("the cable is out"), StepFailed("x"))
    assert isinstance(away.error, Unknown)
    assert "no answer from h2; 1 of 3 ready" in away.error.what
    stopped = report(READY, Cancelled("cancelled while waiting for health"))
    assert isinstance(stopped.error, Cancelled)
    assert [h.result for h in stopped.hosts] == [RehearsalResult.READY, RehearsalResult.NOT_REHEARSED]


def test_what_was_not_started_is_said_to_people_and_to_programs() -> None:
    """A line for it, and a key."""
    alone = {"job": "max_hosts: 1"}
    done = report(READY, READY, alone=alone)
    out = io.StringIO()
    show_rehearsal(Output(json=False, environ={}, stdout=out, stderr=io.StringIO(), stdin=None), done)
    assert out.getvalue().splitlines()[1:] == [
        "HOST  RESULT",
        "h1    ready",
        "h2    ready",
        "all: detail healthy 0.50 s after its start",
        "not rehearsed on h1, h2: job would run twice (max_hosts: 1)",
        "2 of 2 ready",
    ]
    out = io.StringIO()
    show_rehearsal(Output(json=True, environ={}, stdout=out, stderr=io.StringIO(), stdin=None), done)
    document = json.loads(out.getvalue().splitlines()[0])
    assert (document["kind"], document["ready"]) == ("rehearsal", 2)
    assert [(h["result"], h["not_rehearsed"]) for h in document["hosts"]] == [("ready", alone)] * 2


def test_a_host_that_serves_the_release_is_ready() -> None:
    """Nothing is started there."""
    world = serving(2, FREE, "1", "2")
    done = world.rehearse("2")
    assert [(h.result, h.detail) for h in done.hosts] == [(RehearsalResult.READY, "serves it already")] * 2
