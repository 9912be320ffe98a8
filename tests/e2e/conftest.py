"""What the stories share: releases made once, and a user as new for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.stage import ALL_AT_ONCE, Stage, make_releases
from tests.lab.host import LabHost
from tests.lab.lab import Lab


@pytest.fixture(scope="session")
def releases(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Good and bad releases in the lab's registry."""
    make_releases(Stage(lab, tmp_path_factory.mktemp("releases")))
    return lab


@pytest.fixture
def stage(releases: Lab, hosts: list[LabHost], tmp_path: Path) -> Stage:
    """Three hosts as new, and a user who knows only the inventory."""
    assert len(hosts) == 3
    return Stage(releases, tmp_path)


@pytest.fixture
def serving(stage: Stage) -> Stage:
    """Release 1 serves everywhere."""
    stage.deploy("1", *ALL_AT_ONCE)
    stage.serve("1")
    return stage
