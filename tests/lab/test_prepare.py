"""What tests need is got before they begin, and nothing is downloaded meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.apps import bases
from tests.lab import trixie
from tests.lab.layout import LabError
from tests.lab.prepare import prepare
from tests.lab.process import patience, until


def test_what_is_there_is_not_asked_for_again() -> None:
    """The second time takes no time worth mentioning."""
    prepare()
    begin = time.monotonic()
    assert "nothing is downloaded" in prepare()
    assert time.monotonic() - begin < 2 * patience()


@pytest.mark.parametrize("needed", ["oras", "no-such-package"])
def test_a_test_that_needs_what_was_not_prepared_is_told(
    needed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While tests run a download is an error that says where to name it, whatever is missing; nothing half made
    stays."""
    monkeypatch.setenv("RELMAN_LAB_OFFLINE", "1")
    monkeypatch.setenv("RELMAN_CACHE", str(tmp_path))
    with pytest.raises(LabError, match=rf"{needed} of Debian .* tests/lab/prepare\.py"):
        trixie.fetch(needed)
    with pytest.raises(LabError, match=r"base image .* tests/lab/prepare\.py"):
        bases.rootfs("python-base")
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_what_cannot_be_got_ends_the_step(tmp_path: Path) -> None:
    """`python -m tests.lab prepare` says what is missing and ends with 1, so that no test begins."""
    env = {**os.environ, "RELMAN_LAB_OFFLINE": "1", "RELMAN_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "tests.lab", "prepare"], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lab: cosign of Debian")


@pytest.mark.parametrize(("said", "waits"), [("1", True), ("0", False)])
def test_waits_are_as_long_as_the_machine_is_slow(said: str, waits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """RELMAN_TEST_PATIENCE multiplies what a test waits; without it the load does, and never below once."""
    monkeypatch.setenv("RELMAN_TEST_PATIENCE", said)
    answers = iter([False, False, True])
    if waits:
        assert until(lambda: next(answers), "the third answer", 5)
    else:
        with pytest.raises(LabError, match="in vain for the third answer"):
            until(lambda: next(answers), "the third answer", 5)
    monkeypatch.delenv("RELMAN_TEST_PATIENCE")
    assert patience() >= max(1.0, min(8.0, os.getloadavg()[0] / (os.cpu_count() or 1) * 0.5))
