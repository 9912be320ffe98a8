"""What can go wrong with a proxy, on a real host: it is said, what is advised mends it, and users lose nothing that
they need not lose."""

from __future__ import annotations

import http.client
import signal
from collections.abc import Callable
from contextlib import closing, suppress

import yaml

from relman.cli.exits import Exit
from tests.e2e.proxied import BEHIND, NAME, first_of, haproxy, inventory, lossless
from tests.e2e.stage import Stage, serves
from tests.lab.host import LabHost
from tests.lab.load import load
from tests.lab.process import until

P = ("-e", "production")
OTHER = "other.example.com"
CONFIG = "/var/lib/relman/_proxy/etc/haproxy.cfg"


def staged(stage: Stage) -> LabHost:
    """One host, which two environments have, each under a name of its own; two releases are to be behind its proxy."""
    image = haproxy(stage, 1)
    inventory(stage, image, demo={"hosts": [NAME]})
    share(stage, OTHER)
    for tag in ("faults-1", "faults-2"):
        stage.release(tag, deploy=BEHIND)
    stage.release("faults-stop", deploy={**BEHIND, "order": "stop-first"})
    return stage.lab.hosts[0]


def share(stage: Stage, name: str) -> None:
    """Let staging have this name there."""
    tree = yaml.safe_load(stage.inventory.read_text())["all"]
    tree["hosts"]["same"] = {**tree["hosts"]["h1"], "relman_routes": {"demo": {"hosts": [name]}}}
    tree["children"] = {"production": {"hosts": {"h1": None}}, "staging": {"hosts": {"same": None}}}
    stage.inventory.write_text(yaml.safe_dump({"all": tree}))


def asked(host: LabHost, name: str = NAME) -> str:
    """What answers to this name; "-" where nothing does."""
    made = http.client.HTTPConnection(host.address, 80, timeout=5)
    with closing(made) as connection, suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/version", headers={"Host": name})
        answer = connection.getresponse()
        text = answer.read().decode().strip()
        return text if answer.status == http.client.OK else str(answer.status)
    return "-"


def answers(host: LabHost, wanted: str) -> None:
    """Wait for it."""
    until(lambda: asked(host) == wanted, f"{wanted}, not {asked(host)}", 15)


def proxy_of(host: LabHost) -> str:
    """The name of its proxy's container."""
    with host.engine() as engine:
        (found,) = engine.containers(all=True, filters={"label": "relman.proxy"})
    return str(found["Names"][0]).removeprefix("/")


def test_what_becomes_of_a_proxy_is_said_and_mended(stage: Stage) -> None:
    """Its port is taken; a service comes to it from a port of the host, and goes back; it is killed, paused or edited
    before a deployment, and paused or removed in the middle of one; a kept container comes back that gave its address
    to its successor."""
    host = staged(stage)
    assert "has no proxy" in stage.relman("maintenance", "on", *P, code=Exit.NOTHING_CHANGED).text
    with host.occupied(80):
        said = stage.relman("proxy", "apply", *P, code=Exit.NOT_SERVING).text
        assert "port 80" in said
        assert "ss -ltnp" in said
    assert "its proxy runs" in stage.relman("proxy", "apply", *P).out
    # From a port of the host, and back.
    stage.deploy("1")
    assert serves(host) == "1"
    stage.deploy("faults-1")
    assert (serves(host), asked(host)) == ("-", "faults-1")
    stage.rollback()
    assert (serves(host), asked(host)) == ("1", "404")
    stage.deploy("faults-1")
    # Before a deployment.
    with host.engine() as engine:
        for broken in (engine.kill, engine.pause):
            broken(proxy_of(host))
            assert "proxy down" in stage.any("status", *P).text
            refused = stage.deploy("faults-2", code=Exit.NOTHING_CHANGED).text
            assert "relman proxy apply" in refused or "docker unpause" in refused
            stage.relman("proxy", "apply", *P)
            assert asked(host) == "faults-1"
        file = host.path(CONFIG)
        file.write_text(file.read_text().replace(NAME, "example.com"))
        engine.kill(proxy_of(host), signal.SIGUSR2)
        until(lambda: asked(host) == "404", "the edited file")
        assert "edited by hand" in stage.relman("proxy", "status", *P).out
        assert "loaded its new configuration" in stage.relman("proxy", "apply", *P).out
        answers(host, "faults-1")
        # In the middle of one.
        with stage.held("set_restart", host, "deploy", "faults-2", *P, "--yes") as running:
            engine.pause(proxy_of(host))
        ended = running.ended(120)
        assert ended.code == Exit.MIXED_FLEET, ended.text
        assert "docker unpause relman-proxy" in ended.text
        assert "was paused" in stage.relman("proxy", "apply", *P).out
        assert asked(host) == "faults-1"
        stage.relman("recover", *P)
        with stage.held("set_restart", host, "deploy", "faults-2", *P, "--yes") as running:
            engine.remove_container(proxy_of(host), force=True)
        ended = running.ended(120)
        assert ended.code == Exit.NOT_SERVING, ended.text
        assert "relman proxy apply" in ended.text
        stage.relman("proxy", "apply", *P)
        answers(host, "faults-1")
        stage.relman("recover", *P)
    # A kept container has given its address away.
    stage.deploy("faults-stop")
    assert asked(host) == "faults-stop"
    with load(first_of(stage)) as counted:
        stage.rollback()
    lossless(counted, "faults-1", "faults-stop")
    assert "running" in stage.relman("proxy", "status", *P).out


def test_relman_dies_between_two_steps_of_a_switch(stage: Stage) -> None:
    """Before the file is there, before it is loaded, and before the old container stops: whatever restarts then, what
    the proxy leads to runs; recovery is not noticed. Two environments change at once, and neither takes the other's
    name."""
    host = staged(stage)
    stage.relman("proxy", "apply", *P)
    both = [stage.start("deploy", "faults-1", "-e", each, "--yes") for each in ("production", "staging")]
    for each in both:
        ended = each.ended(120)
        assert ended.code == 0, ended.text
    assert (asked(host), asked(host, OTHER)) == ("faults-1", "faults-1")
    share(stage, NAME)
    said = stage.relman("deploy", "faults-2", "-e", "staging", "--yes", code=Exit.NOTHING_CHANGED).text
    assert f"{NAME}/ is taken by production:demo" in said
    deaths: list[tuple[str, Callable[[], None]]] = [
        ("place", lambda: None),
        ("reload", lambda: None),
        ("reload", host.restart_engine),
        ("reload", host.reboot),
        ("drain", host.restart_engine),
    ]
    for step, restarts in deaths:
        stage.relman_killed(step, 1, "deploy", "faults-2", *P, "--yes")
        restarts()
        until(lambda: asked(host) in ("faults-1", "faults-2"), f"an answer after {step}, not {asked(host)}", 30)
        with load(first_of(stage)) as counted:
            until(lambda c=counted: c.requests > 50, "requests")  # type: ignore[misc]
            stage.relman("recover", *P, "--wait-lock", "90")
        lossless(counted, *counted.answers)
        stage.deploy("faults-1")
        answers(host, "faults-1")
