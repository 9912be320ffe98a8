"""A proxy and its services on hosts in memory: whenever something dies, requests reach containers that run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from relman.model.errors import RelmanError
from relman.model.settings import DeploySettings
from tests.exhaustive.sample import part
from tests.unit.model_fleet import World, cut, killed, rebooted, restarted, serving
from tests.unit.model_host import Died, ModelHost
from tests.unit.test_proxy_rollout import STOPS, TWO
from tests.unit.values import PROXIED

COMMANDS: dict[str, Callable[[World], object]] = {
    "deploy": lambda world: world.deploy("3"),
    "rollback": lambda world: world.rollback(),
}


def changes(settings: DeploySettings, command: str) -> int:
    """How many changes of hosts it makes when nothing happens."""
    world = serving(2, settings, "1", "2")
    world.before(0, lambda _: None)
    COMMANDS[command](world)
    return world.changes


@pytest.mark.parametrize("happens", [killed, cut, rebooted, restarted])
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("settings", [PROXIED, TWO], ids=["one", "several"])
def test_whenever_it_ends_the_hosts_serve_and_recover_makes_them_whole(
    settings: DeploySettings, command: str, happens: Callable[[ModelHost], None]
) -> None:
    """relman dies, a cable is cut or a host loses its power before any single change of a host: what its proxy has
    loaded leads to containers that run, also after one more reboot; recover finishes it or undoes it, and no request is
    without an answer meanwhile."""
    for at in part(range(1, changes(settings, command) + 1), len(happens.__name__), 9):
        world = serving(2, settings, "1", "2")
        world.before(at, happens)
        with contextlib.suppress(Died, RelmanError):
            COMMANDS[command](world)
        world.dark = 0
        assert "-" not in world.versions, at
        world.calm()
        for host in world.hosts:
            host.reboot()
        assert "-" not in world.versions, at
        assert world.recover().error is None, at
        assert world.dark == 0, at
        assert world.deploy("4").error is None, at
        world.tidy()


@pytest.mark.parametrize("happens", [killed, cut, rebooted, restarted])
@pytest.mark.parametrize("command", COMMANDS)
def test_where_one_has_to_stop_first_it_is_resolved_too(command: str, happens: Callable[[ModelHost], None]) -> None:
    """Old and new have one address, as they would have one port: heal starts what serves nothing, recover does the
    rest, and a reboot brings back one of both."""
    for at in part(range(1, changes(STOPS, command) + 1), len(happens.__name__), 5):
        world = serving(2, STOPS, "1", "2")
        world.before(at, happens)
        with contextlib.suppress(Died, RelmanError):
            COMMANDS[command](world)
        world.calm()
        world.heal()
        assert not any(host.dark for host in world.hosts), at
        assert world.recover().error is None, at
        assert "-" not in world.versions, at
        assert world.deploy("4").error is None, at
        world.tidy()
