"""What differs between two releases: pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relman.app.releases.serving import agreed
from relman.model.errors import MixedFleet, NotServing
from relman.model.settings import DeploySettings, Health, PreStop, Probe
from relman.model.settings_diff import rollout_differences
from tests.unit.values import SET, deployed


def test_hosts_that_disagree_have_no_release_to_compare_with() -> None:
    """Each one's own is said; and where nothing serves, that."""
    entries = {"web1": deployed("a", release="1"), "web2": deployed("b", release="2")}
    with pytest.raises(MixedFleet) as mixed:
        agreed(entries, "shop", "production")
    assert [line.split(" (")[0] for line in mixed.value.details] == ["web1: 1", "web2: 2"]
    assert "relman diff OLD NEW -e production" in mixed.value.hint
    with pytest.raises(NotServing):
        agreed({}, "shop", "production")
    assert agreed({"web1": entries["web1"]}, "shop", "production").release == "1"


def test_what_differs_in_the_rollout_is_named() -> None:
    """Also of a process, and without values."""
    assert rollout_differences(DeploySettings(), DeploySettings(keep=2, max_failures=1)) == ("keep", "max_failures")
    web, *others = SET.processes
    checked = replace(web.run, health=Health(Probe.TCP, port=80))
    changed = replace(SET, processes=(replace(web, run=checked, max_hosts=1), *others))
    assert rollout_differences(SET, changed) == ("processes.web.health", "processes.web.max_hosts")
    assert rollout_differences(SET, SET) == ()
    paused = replace(SET, processes=(replace(web, run=replace(web.run, pre_stop=PreStop(wait=5))), *others))
    assert rollout_differences(SET, paused) == ("processes.web.pre_stop",)
