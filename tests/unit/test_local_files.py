"""Locks between processes and files written whole, with real processes and a real file system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from relman.local import file_lock, whole_file

HOLDER = (
    "import sys, time; from pathlib import Path; from relman.local import file_lock\n"
    "held = file_lock.take(Path(sys.argv[1])); print(bool(held), flush=True); time.sleep(600)"
)


def test_a_lock_is_held_by_one_process_and_ends_with_it(tmp_path: Path) -> None:
    """Another process is seen to hold it, and asking does not take it; a killed holder leaves it free."""
    path = tmp_path / "made" / "run.lock"
    assert not file_lock.is_held(path)
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert file_lock.is_held(path)
        assert file_lock.take(path) is None
        holder.kill()
    assert not file_lock.is_held(path)
    mine = file_lock.take(path)
    assert mine is not None
    with mine:
        assert file_lock.is_held(path)
    assert not file_lock.is_held(path)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """What cannot be written leaves the old file, and nothing beside it; whoever reads on sees the old content."""
    file = tmp_path / "state.json"
    whole_file.write(file, "old é")
    assert (file.read_text(encoding="utf-8"), file.stat().st_mode & 0o777) == ("old é", 0o600)
    with file.open(encoding="utf-8") as reader:
        whole_file.write(file, "new", 0o644)
        assert reader.read() == "old é"
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o644)
    with pytest.raises(UnicodeEncodeError):
        whole_file.write(file, "\ud800")
    assert (list(tmp_path.iterdir()), file.read_text()) == ([file], "new")
