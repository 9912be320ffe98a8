"""A few of the points and moments that `make soak` tries, the same ones each time."""

from __future__ import annotations

import random

import pytest

from tests.soak.kills import Kills
from tests.soak.moments import kills
from tests.soak.points import PROXIED, SET, Point, Soak

SEED = 20260201
DEATHS = 20263289  # whose first moments are of every command, near and far, a pull and a task among them
KILLS = 5
SERVICE_TRIED = (("recovery", "kill"), ("deployment", "cut"))
SET_TRIED = (("deployment", "kill"), ("deployment", "reboot"))

pytestmark = pytest.mark.timeout(900)


def test_a_sample_of_the_points_at_which_relman_or_a_host_dies(soak: Soak) -> None:
    """After a death, a lost cable or a reboot before any change, the next commands put everything right, of a service
    and of a set of processes."""
    chance = random.Random(SEED)  # noqa: S311  # which points, not secrets
    several = Soak(soak.stage, SET)
    for each, tried in (soak, SERVICE_TRIED), (several, SET_TRIED):
        each.prepare()
        for command, action in tried:
            each.trial(Point(command, action, chance.randint(1, each.changes(command))))


def test_a_sample_of_the_points_of_a_switch(soak: Soak) -> None:
    """The same of a service behind a proxy: a host loses its power when the file is there that the proxy has not
    loaded."""
    behind = Soak(soak.stage, PROXIED)
    behind.prepare()
    _, second, _ = behind.reloads("deployment")
    behind.trial(Point("deployment", "reboot", second))


def test_a_sample_of_the_moments_at_which_a_host_dies(killed: Kills) -> None:
    """After a host died at a random moment, near or far, the recap is true of every host, the one that died is unknown,
    and what `status` advises once it is back puts everything right."""
    tried: list[str] = []
    for kill in kills(DEATHS, len(killed.stage.lab.hosts)):
        tried += filter(None, [killed.trial(kill)])
        if len(tried) == KILLS:
            return
