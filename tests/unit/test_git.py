"""What a checkout says about the commits between two others."""

from __future__ import annotations

from pathlib import Path

import pytest

from relman.local.git import ask, commits_between
from tests.unit.test_ci_names import git


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with four commits: base, two on main, one beside them."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    root = tmp_path / "shop"
    root.mkdir()
    git(root, "init", "-q")
    for branch, subject in (("main", "base"), ("main", "one"), ("main", "two"), ("beside", "fix: 50% & more")):
        git(root, "checkout", "-q", *(["-b", branch, "main~2"] if branch == "beside" else ["-B", branch]))
        git(root, "commit", "-q", "--allow-empty", "-m", subject)
    return root


def at(root: Path, revision: str) -> str:
    """The whole name of a commit."""
    return ask(root, "rev-parse", revision)


def test_the_commits_that_only_one_side_has(checkout: Path) -> None:
    """Forwards they are new, newest first; backwards they are lost; of two branches each has its own."""
    base, main, beside = (at(checkout, r) for r in ("main~2", "main", "beside"))
    found = commits_between(checkout, base, main)
    assert found is not None
    assert [(c.revision, c.subject, c.new) for c in found] == [
        (main, "two", True),
        (at(checkout, "main~1"), "one", True),
    ]
    assert [c.new for c in commits_between(checkout, main, base) or ()] == [False, False]
    both = commits_between(checkout, main, beside) or ()
    assert {(c.subject, c.new) for c in both} == {("two", False), ("one", False), ("fix: 50% & more", True)}
    assert commits_between(checkout, main, main) == ()


@pytest.mark.parametrize("other", ["", "0" * 40, "main", "--output=/tmp/x", "c0ffee"])
def test_what_the_checkout_does_not_have_is_not_guessed(checkout: Path, other: str) -> None:
    """An unknown commit, and a label that is no revision but a branch, an option or an abbreviation."""
    main = at(checkout, "main")
    assert commits_between(checkout, main, other) is None
    assert commits_between(checkout, other, main) is None


def test_no_checkout_and_a_shallow_one_know_nothing(checkout: Path, tmp_path: Path) -> None:
    """In a shallow clone both commits may be there, and what lies between them not."""
    base, main = at(checkout, "main~2"), at(checkout, "main")
    assert commits_between(tmp_path, base, main) is None
    git(tmp_path, "clone", "-q", "--depth", "3", "--branch", "main", f"file://{checkout}", "shallow")
    assert at(tmp_path / "shallow", base)
    assert commits_between(tmp_path / "shallow", base, main) is None
