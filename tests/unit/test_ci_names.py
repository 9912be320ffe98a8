"""What a run is called, and which commit it builds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from relman.ci.run.run_name import commit_of, describe, run_name, without_password
from relman.model.errors import UsageError
from relman.model.image import check_tag
from relman.model.run import Commit, RunName

JENKINS = {"JOB_NAME": "team/shop", "BUILD_NUMBER": "118"}
GITHUB = {"GITHUB_REPOSITORY": "team/shop", "GITHUB_WORKFLOW": "Release it", "GITHUB_RUN_NUMBER": "7"}
GITLAB = {"CI_PROJECT_PATH": "team/group/shop", "CI_PIPELINE_IID": "42"}


@pytest.mark.parametrize(
    ("env", "flag", "expected"),
    [
        (JENKINS, None, RunName("team/shop", "118", "shop")),
        (GITHUB, None, RunName("team/shop/Release it", "7", "shop")),
        (GITLAB, None, RunName("team/group/shop", "42", "shop")),
        (GITLAB | {"CI_NODE_INDEX": "2"}, None, RunName("team/group/shop", "42", "shop", "2")),
        (GITLAB | {"CI_NODE_INDEX": "2", "RELMAN_MATRIX": ""}, None, RunName("team/group/shop", "42", "shop")),
        (GITHUB | {"RELMAN_MATRIX": "arm"}, "a/1", RunName("a", "1", "shop", "arm")),
        (JENKINS, "mine/1", RunName("mine", "1", "shop")),
        ({}, "a/b/2", RunName("a/b", "2", "shop")),
    ],
)
def test_a_run_s_name(env: dict[str, str], flag: str | None, expected: RunName) -> None:
    """Each CI system's variables name the run, and the flag wins over them; GitLab's also say which of the parallel
    copies of a job it is, and RELMAN_MATRIX wins over that."""
    assert run_name(env, flag, "shop") == expected


@pytest.mark.parametrize("env", [{}, {"JOB_NAME": "shop"}, {"JOB_NAME": "", "BUILD_NUMBER": "1"}])
def test_a_run_without_a_name(env: dict[str, str]) -> None:
    """Where nothing names the run, the error says the flag and every variable that is looked at."""
    with pytest.raises(UsageError) as error:
        run_name(env, None, "shop")
    for word in ("--run JOB/BUILD", *JENKINS, *GITHUB, *GITLAB):
        assert word in error.value.hint


def git(root: Path, *arguments: str) -> None:
    """Run git in `root` as somebody."""
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit; git looks at nothing above it."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", "https://bot:token@git.example/shop.git")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_checkout(checkout: Path) -> None:
    """Revision, branch and URL are read; the URL's password is not."""
    commit = commit_of(checkout, {})
    assert len(commit.revision) == 40
    assert (commit.branch, commit.url, commit.dirty) == ("main", "https://git.example/shop.git", False)


@pytest.mark.parametrize("file", ["Dockerfile", "untracked"])
def test_a_dirty_checkout(checkout: Path, file: str) -> None:
    """A changed file and an untracked one both make it dirty, and that is said."""
    (checkout / file).write_text("changed")
    commit = commit_of(checkout, {})
    assert commit.dirty
    assert "changes" in describe(commit)


def test_another_directory_s_changes_are_not_this_service_s(checkout: Path) -> None:
    """With several services in one repository, only changes below the service's root count."""
    (checkout / "other").mkdir()
    (checkout / "mine").mkdir()
    (checkout / "other/file").write_text("new")
    assert not commit_of(checkout / "mine", {}).dirty


def test_no_checkout_and_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a repository, and on a machine without git, the commit is empty and that is said."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path, {}) == Commit()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path, {}) == Commit()
    assert "no git checkout" in describe(Commit())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:p@ss@git.example:8443/a.git", "https://git.example:8443/a.git"),
        ("ssh://git@git.example/a.git", "ssh://git.example/a.git"),
        ("git@git.example:a.git", "git@git.example:a.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("", ""),
    ],
)
def test_urls_without_their_password(url: str, expected: str) -> None:
    """User and password go out of every URL; what has neither stays as it is."""
    assert without_password(url) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RunName("a b", "1"), RunName("a:b", "1")),
        (RunName("x" * 90 + "a", "1"), RunName("x" * 90 + "b", "1")),
        (RunName("é", "1"), RunName("è", "1")),
        (RunName(".a", "1"), RunName("a", "1")),
        (RunName("a-b", "1"), RunName("a", "b-1")),
        (RunName("a/b", "1"), RunName("a-b", "1")),
        (RunName("a", "1", "shop"), RunName("a", "1", "till")),
        (RunName("a", "1", "shop"), RunName("a", "1", "shop", "1")),
        (RunName("a", "1", "shop", "1"), RunName("a", "1", "shop", "2")),
        (RunName("b", "1", "a"), RunName("a", "1", "b")),
    ],
)
def test_no_two_share_a_tag(one: RunName, other: RunName) -> None:
    """Two runs, services or matrix jobs do not share a tag because their names are cut, lose what no tag holds, or look
    the same side by side; people see what it is of."""
    assert one.tag != other.tag
    assert all(check_tag(each.tag) and len(each.tag) <= 87 for each in (one, other))
    assert RunName("team/shop", "118", "till").tag.startswith("run-till-team-shop-118-")
