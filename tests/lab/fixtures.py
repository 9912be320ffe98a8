"""The lab as pytest fixtures: one for the whole run, with a number of its own, its hosts as new for each test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import packages
from tests.lab.host import LabHost
from tests.lab.lab import Lab, at_once
from tests.lab.layout import Layout
from tests.lab.process import locked


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Lab number RELMAN_TEST_LAB_ID (below 128, default 100), three hosts.

    Tests that run side by side (pytest-xdist) have a lab each, numbered from there. It is removed at the end, also
    after Ctrl-C or SIGTERM.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with as_new(Lab(Layout.numbered(int(os.environ.get("RELMAN_TEST_LAB_ID", "100")) + worker, os.environ)), 3) as lab:
        yield lab


@contextmanager
def as_new(lab: Lab, count: int) -> Iterator[Lab]:
    """Bring the lab up with `count` hosts and take it down at the end.

    What a run that was killed left is removed first: its registry holds releases. Raises LabError while another run
    uses the lab.
    """
    with locked(Path(f"{lab.dir}.session"), wait=False):
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            packages.install()
            lab.down()
            lab.up(count)
            yield lab
        finally:
            lab.down()
            signal.signal(signal.SIGTERM, before)


@pytest.fixture
def hosts(lab: Lab) -> list[LabHost]:
    """The lab's three hosts, as good as new whatever the test before did to them; the registry runs."""
    lab.registry.start()
    at_once(host.reset for host in lab.hosts)
    return lab.hosts
