"""A few of the points that `make soak` tries all of, the same ones each time."""

from __future__ import annotations

import random

from tests.soak.points import TRIED, Point, Soak

SEED = 20260201


def test_a_sample_of_the_points_at_which_relman_or_a_host_dies(soak: Soak) -> None:
    """After a death, a lost cable or a reboot before any change, the next commands put everything right."""
    chance = random.Random(SEED)  # noqa: S311  # which points, not secrets
    for command, action in TRIED[:-1]:
        soak.trial(Point(command, action, chance.randint(1, soak.changes(command))))
