"""The crash table on real hosts: all of it in `make soak`, the same part each time in `make test`."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.e2e.stage import Stage
from tests.lab.host import LabHost
from tests.lab.lab import Lab, at_once
from tests.soak.crash_table import CRASHES, DEPLOY, TAGS, CrashedHost
from tests.soak.trials import Trials, side_by_side

SEED = 2382  # six rows, with death in the gap and reboots where two policies change hands
SAMPLE = 6

pytestmark = pytest.mark.timeout(900)


def test_what_a_death_after_each_step_leaves_is_put_right(lab: Lab, hosts: list[LabHost], tmp_path: Path) -> None:
    """What runs is what the table says, also after a reboot; nothing is dark after the next command; recover makes it
    all old or all new, with nothing left behind."""
    stage = Stage(lab, tmp_path)
    stage.write_inventory({f"on-{host.name}": {"hosts": {host.name: None}} for host in hosts})
    for tag in TAGS:
        stage.release(tag, deploy=DEPLOY)
    crashed = [CrashedHost(stage, host) for host in hosts]
    at_once(each.reset for each in crashed)
    tried = CRASHES if os.environ.get("RELMAN_TEST_ALL") else random.Random(SEED).sample(CRASHES, SAMPLE)  # noqa: S311
    trials = Trials(tried, len(tried))
    side_by_side(trials, [(each.trial, each.reset) for each in crashed])
    assert trials.failures == []
