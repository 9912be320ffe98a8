"""A stage with releases that cost little time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.stage import Stage
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.soak.kills import Kills
from tests.soak.points import Soak


@pytest.fixture
def soak(lab: Lab, hosts: list[LabHost], tmp_path: Path) -> Soak:
    """Three hosts as new."""
    assert len(hosts) == 3
    return Soak(Stage(lab, tmp_path))


@pytest.fixture
def killed(lab: Lab, hosts: list[LabHost], tmp_path: Path) -> Kills:
    """Three hosts with two releases on them."""
    assert len(hosts) == 3
    made = Kills(Stage(lab, tmp_path))
    made.prepare()
    return made
