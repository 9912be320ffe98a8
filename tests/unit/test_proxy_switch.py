"""Every step of a switch, in which relman can die, and the host or the connection beside it, on hosts in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from relman.model.errors import RelmanError
from tests.unit.model_fleet import World, cut, killed, rebooted, restarted, serving
from tests.unit.model_host import Died, ModelHost
from tests.unit.model_proxy import CONFIG
from tests.unit.values import PROXIED


def steps(command: Callable[[World], object]) -> list[int]:
    """The changes of a host around the file's and the reload: from the one before the file is written until after the
    old worker is gone."""
    world = serving(1, PROXIED, "1", "2")
    (host,) = world.hosts
    world.before(0, lambda _: None)
    step, seen = host.step, list[tuple[bytes, int]]()

    def noted(changed: ModelHost) -> None:
        assert changed.proxy
        seen.append((changed.files[CONFIG][0], changed.proxy.reloads))
        step(changed)

    host.step = noted
    command(world)
    (before, after) = ([at for at, state in enumerate(seen, 1) if state == end] for end in (seen[0], seen[-1]))
    assert before[-1] + 1 < after[0], "between the file and the reload another change could come"
    return list(range(before[-1] - 1, after[0] + 3))


@pytest.mark.parametrize("happens", [killed, cut, rebooted, restarted])
@pytest.mark.parametrize("command", [lambda w: w.deploy("3"), lambda w: w.rollback()], ids=["deploy", "rollback"])
def test_at_no_step_of_a_switch_is_anything_lost(
    command: Callable[[World], object], happens: Callable[[ModelHost], None]
) -> None:
    """Before the file is there, before it is loaded, before the old container stops: the proxy leads to what runs, also
    when the host starts again then; recovery is not noticed, and leaves nothing behind."""
    for at in steps(command):
        world = serving(1, PROXIED, "1", "2")
        world.before(at, happens)
        with contextlib.suppress(Died, RelmanError):
            command(world)
        world.dark = 0
        assert "-" not in world.versions, at
        world.calm()
        world.hosts[0].reboot()
        assert "-" not in world.versions, at
        assert world.recover().error is None, at
        assert world.dark == 0, at
        assert world.deploy("4").error is None, at
        world.tidy()
