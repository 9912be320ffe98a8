"""What is kept of earlier runs does not grow for ever, and nothing that may still be needed goes."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from relman.app.playbooks.runs import PlaybookRuns, new_run
from relman.app.retention import DAY, outlived, sweep_libraries

NOW = 1_800_000_000.0


@given(st.dictionaries(st.text(max_size=3), st.floats(0, NOW)), st.integers(0, 5), st.floats(0, 9999))
def test_what_goes_is_old_and_not_among_the_newest(times: dict[str, float], most: int, days: float) -> None:
    """Neither the newest nor the young ones are touched, and of two the older one goes first."""
    gone = outlived(times, NOW, most=most, days=days)
    kept = [name for name in times if name not in gone]
    assert all(times[name] < NOW - days * DAY for name in gone)
    assert len(kept) >= min(most, len(times))
    assert not (gone and kept) or max(times[g] for g in gone) <= max(times[k] for k in kept)


def _aged(directory: Path, name: str, days: float) -> Path:
    found = directory / name
    found.mkdir(parents=True)
    (found / "shop.whl").write_text("x")
    os.utime(found, (NOW - days * DAY, NOW - days * DAY))
    return found


def test_files_of_libraries_go_when_many_newer_ones_came(tmp_path: Path) -> None:
    """The newest 20 stay however old, younger ones than a month however many; what was left half made goes soon."""
    young = [_aged(tmp_path, f"y{n}", n / 10) for n in range(25)]
    old = [_aged(tmp_path, f"o{n}", 40 + n) for n in range(3)]
    half, being_made = _aged(tmp_path, ".making-1", 2), _aged(tmp_path, ".making-2", 0)
    sweep_libraries(tmp_path, NOW)
    assert all(path.exists() for path in (*young, being_made))
    assert not any(path.exists() for path in (*old, half))
    few = [_aged(tmp_path / "few", f"o{n}", 400 + n) for n in range(20)]
    sweep_libraries(tmp_path / "few", NOW)
    assert all(path.exists() for path in few)
    sweep_libraries(tmp_path / "nowhere", NOW)


def test_runs_of_playbooks_go_but_never_one_that_can_be_resumed_or_is_at_work(tmp_path: Path) -> None:
    """The newest 100 of all stay, the newest of each playbook, and any that a process holds; locks go with theirs."""
    journals = PlaybookRuns(tmp_path)
    start = "2026-01-01T00:{:02}:{:02}.000Z"
    made = []
    for n in range(104):
        journal = new_run("/often.yml" if n else "/once.yml", "0", {}, ["x"])
        journal = type(journal)(**{**vars(journal), "started": start.format(n // 60, n % 60)})
        with journals.held(journal):
            journals.save(journal)
        made.append(journal)
    with journals.held(made[2]):
        journals.sweep(NOW)
    assert [j in journals.all() for j in made[:4]] == [True, False, True, False]
    assert all(j in journals.all() for j in made[4:])
    assert not (tmp_path / f"{made[1].id}.lock").exists()
    journals.sweep(0.0)
    assert len(journals.all()) == 102
