"""CI systems: what their variables say, and what relman writes for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.app.ci.job_summary import summary_of
from relman.app.ci.outputs import tell_system
from relman.ci.run.run_name import run_name
from relman.config.ci_systems import NONE, SYSTEMS, system_of
from relman.config.ci_systems.github import GITHUB
from relman.config.ci_systems.gitlab import GITLAB
from relman.config.ci_systems.system import JobFacts
from relman.model.run import RunName
from tests.unit.cli import relman

IN_GITHUB = {
    "GITHUB_REPOSITORY": "team/shop",
    "GITHUB_WORKFLOW": "release",
    "GITHUB_RUN_NUMBER": "7",
    "GITHUB_SHA": "a" * 40,
    "GITHUB_REF_NAME": "12/merge",
    "GITHUB_HEAD_REF": "fix",
    "GITHUB_ACTOR": "ada",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_RUN_ID": "99",
}
IN_JENKINS = {"JOB_NAME": "shop", "BUILD_NUMBER": "7", "GIT_BRANCH": "origin/main"}
RELEASED = {"service": "shop", "run": "shop/7", "release": "7", "repository": "r/shop", "manifest": "sha256:1"}
TESTED = {
    "service": "shop",
    "passed": False,
    "commands": [
        {"name": "a | b <i>", "exit": 1, "seconds": 1.25, "problem": "2 of 9 tests failed"},
        {"name": "c", "exit": None, "seconds": 3, "problem": ""},
    ],
    "findings": {"failed": [{"name": f"t{i}"} for i in range(25)]},
}


@pytest.mark.parametrize(
    ("env", "system", "facts"),
    [
        (IN_GITHUB, "github", JobFacts("a" * 40, "fix", "ada", "https://github.example/team/shop/actions/runs/99")),
        (
            {**IN_GITHUB, "RELMAN_BRANCH": "b", "RELMAN_ACTOR": "c", "RELMAN_RUN_URL": "d"},
            "github",
            JobFacts("a" * 40, *"bcd"),
        ),
        (IN_JENKINS, "jenkins", JobFacts(branch="main")),
    ],
)
def test_what_a_job_s_variables_say(env: dict[str, str], system: str, facts: JobFacts) -> None:
    """Commit, branch, actor and the address of the log; what is given by RELMAN_ variables wins; half an address is
    none."""
    assert system_of(env) is SYSTEMS[system]
    assert system_of(env).facts(env) == facts


def test_outside_of_any_system_relman_s_own_variables_count() -> None:
    """RELMAN_RUN names the run, also against a system's own name, and a flag wins over both."""
    assert system_of({}) is NONE
    assert NONE.facts({"RELMAN_ACTOR": "ada"}) == JobFacts(actor="ada")
    assert run_name({**IN_JENKINS, "RELMAN_RUN": "a/1"}, None, "") == RunName("a", "1")
    assert run_name({"RELMAN_RUN": "a/1"}, "b/2", "") == RunName("b", "2")


@given(st.text(), st.text(min_size=1), st.integers(1, 9), st.integers(1, 9))
def test_a_github_command_stays_one_line_and_one_command(message: str, file: str, line: int, column: int) -> None:
    """Whatever an error says, it ends neither the line nor the properties, and nothing of it is lost."""
    made = GITHUB.annotate(message, file, line, column)
    assert not set(made) & set("\r\n")
    found = re.fullmatch(r"::error title=relman,file=([^:,]*),line=\d,col=\d::(.*)", made, re.DOTALL)
    assert found
    decoded = [
        t.replace("%0A", "\n").replace("%0D", "\r").replace("%3A", ":").replace("%2C", ",") for t in found.groups()
    ]
    assert [text.replace("%25", "%") for text in decoded] == [file, message]


def test_groups() -> None:
    """GitHub's and GitLab's own forms; Jenkins has none."""
    assert GITHUB.begin(1, "build", 5) == "::group::build"
    assert GITLAB.begin(2, "build", 5) == "\x1b[0Ksection_start:5:relman_2\r\x1b[0Kbuild"
    assert GITLAB.end(2, "build", 6) == "\x1b[0Ksection_end:6:relman_2\r\x1b[0K"
    assert SYSTEMS["jenkins"].begin(1, "build", 5) == ""


def test_an_error_is_marked_at_its_place(tmp_path: Path) -> None:
    """Each problem of relman.yml is an annotation at its line and column, by its path in the workspace; without the
    system there is none."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/relman.yml").write_text("service: shop\nregistri: x\n")
    said = relman("check", cwd=tmp_path / "app", env={**IN_GITHUB, "GITHUB_WORKSPACE": str(tmp_path)}).stderr
    assert "::error title=relman,file=app/relman.yml,line=2,col=1::unknown key; did you mean registry?" in said
    assert "::error" not in relman("check", cwd=tmp_path / "app", env={"GITHUB_REPOSITORY": ""}).stderr


def test_a_summary_is_markdown_that_nothing_breaks() -> None:
    """Tests and releases are told; a name is no markup, and a long list ends."""
    told = summary_of("test", TESTED)
    assert "tests FAILED" in told
    assert "| a \\| b &lt;i> | exit code 1: 2 of 9 tests failed | 1.2 |" in told
    assert "| c | timed out | 3.0 |" in told
    assert told.count("- failed:") == 20
    assert "and 5 more" in told
    assert "- image: `r/shop@sha256:1`" in summary_of("promote", RELEASED)
    assert summary_of("build", RELEASED) == ""


def test_outputs_are_where_later_steps_look(tmp_path: Path) -> None:
    """GitHub's file is added to, RELMAN_OUTPUT is written anew, for every system."""
    env = {"GITHUB_OUTPUT": str(tmp_path / "g"), "RELMAN_OUTPUT": str(tmp_path / "r")}
    for release in ("6", "7"):
        tell_system(GITHUB, env, "promote", RELEASED, {"release": release, "digest": "sha256:1"})
    assert (tmp_path / "g").read_text() == "release=6\ndigest=sha256:1\nrelease=7\ndigest=sha256:1\n"
    assert (tmp_path / "r").read_text() == "RELMAN_RELEASE=7\nRELMAN_DIGEST=sha256:1\n"
    tell_system(NONE, {}, "promote", RELEASED, {"release": "7"})
