"""Measure relman beside an earlier commit of itself: `python -m tests.bench.commits COMMIT`.

Each round replaces the container of every host (HOSTS, default 20; ROUNDS, default 8) three times, in turns: by that
commit, by this tree, and by this tree again, which shows how much the machine's noise is. All of them run in this
tree's virtual environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.bench.sides import SERVICE, timed
from tests.bench.stage import BALLAST, BASE, prepare, release, require
from tests.lab.lab import Lab
from tests.lab.layout import LabError, Layout

ROOT = Path(__file__).resolve().parents[2]
NOW, AGAIN = "this tree", "this tree again"


def main() -> int:
    """Bring up the lab, measure, print, take it down; return the exit code."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    commit = sys.argv[1]
    lab = Lab(Layout.numbered(int(os.environ.get("RELMAN_LAB_ID", "90")), os.environ))
    try:
        with checkout(commit) as before:
            _bench(lab, {commit: before, NOW: ROOT, AGAIN: ROOT})
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        lab.down()
    return 0


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """The tree of a commit, in a directory of its own. Raises LabError if there is no such commit."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "tree"
        done = subprocess.run(
            ["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", tree, commit], capture_output=True, text=True
        )
        if done.returncode:
            raise LabError(done.stderr.strip())
        try:
            yield tree
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=True)


def _bench(lab: Lab, trees: Mapping[str, Path]) -> None:
    rounds = int(os.environ.get("ROUNDS", "8"))
    tags = [f"round-{number}" for number in range(rounds)]
    lab.up(int(os.environ.get("HOSTS", "20")))
    release(lab, BASE, 0)
    for tag in tags:
        release(lab, tag, BALLAST)
    times: dict[str, list[float]] = {name: [] for name in trees}
    for number, tag in enumerate(tags):
        for name in _turned(list(trees), number):
            prepare(lab, "relman")
            times[name].append(_deploy(lab, trees[name], tag))
            require(lab, tag)
        print(f"{tag}:", *(f"{name} {taken[-1]:.2f} s" for name, taken in times.items()), flush=True)
    _tell(times)


def _turned(names: Sequence[str], number: int) -> Sequence[str]:
    first = number % len(names)
    return [*names[first:], *names[:first]]


def _deploy(lab: Lab, tree: Path, tag: str) -> float:
    """One deployment by the relman of this tree, as its user has it: a whole process."""
    argv = [sys.executable, "-P", "-m", "relman", "deploy", tag, "-e", "production", "--service", SERVICE, "--yes"]
    return timed(argv, lab.env | {"PYTHONPATH": str(tree), "XDG_DATA_HOME": str(lab.dir / "data")})[0]


def _tell(times: Mapping[str, Sequence[float]]) -> None:
    (before, was), (_, now), (_, again) = times.items()
    for name, taken in times.items():
        print(f"{name}: median {median(taken):.2f} s, from {min(taken):.2f} to {max(taken):.2f}")
    print(f"this tree / {before}: {median([*now, *again]) / median(was):.3f}")
    print(f"this tree / itself: {median(now) / median(again):.3f}")


if __name__ == "__main__":
    sys.exit(main())
