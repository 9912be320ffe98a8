"""Playbooks: what is understood of one, and each mistake with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.app.playbooks.stage_text import filled, in_words
from relman.config.playbook import load_playbook, parse_playbook, variables_for
from relman.model.errors import ConfigError, UsageError
from relman.model.playbook import Command, Confirm, Http, Stage, Verb, Wait

PLAYBOOKS = sorted((Path(__file__).resolve().parents[2] / "playbooks").glob("*.yml"))


def problems(text: str) -> list[str]:
    """What is said of a playbook."""
    with pytest.raises(ConfigError) as caught:
        parse_playbook(text.encode(), "p.yml")
    return list(caught.value.details)


def test_the_shipped_ones_are_there() -> None:
    """Four procedures come along."""
    assert [file.stem for file in PLAYBOOKS] == ["hotfix", "library", "release", "rollback"]


@pytest.mark.parametrize("file", PLAYBOOKS, ids=lambda file: file.stem)
def test_a_shipped_playbook_is_good_and_its_commands_are_understood(file: Path) -> None:
    """It loads, all its variables can be given, and each command line is one that its verb takes."""
    from relman.cli.main import relman

    playbook = load_playbook(file)
    given = {name: value or "x" for name, value in playbook.variables.items()}
    variables = variables_for(playbook, given) | {"release": "118", "digest": "sha256:0"}
    assert playbook.description
    for stage in playbook.stages:
        action = filled(stage.action, variables)
        if isinstance(action, Verb):
            command = relman.get_command(None, action.name)  # type: ignore[arg-type]
            assert command is not None
            command.make_context(action.name, list(action.argv[1:]))


@pytest.mark.parametrize("file", PLAYBOOKS, ids=lambda file: file.stem)
def test_a_shipped_playbook_says_which_service_and_why(file: Path) -> None:
    """Every command on hosts gets the service and the reason that are given, and neither option without them."""
    playbook = load_playbook(file)
    for told_of in ({"service": "till", "reason": "INC-7"}, {"service": "", "reason": ""}):
        variables = {name: value or "x" for name, value in playbook.variables.items()} | {"release": "118"} | told_of
        for action in (filled(stage.action, variables) for stage in playbook.stages):
            if isinstance(action, Verb) and action.name in ("deploy", "rollback"):
                told = dict(zip(action.argv[2::2], action.argv[3::2], strict=False))
                assert {"service": told.get("--service", ""), "reason": told.get("--reason", "")} == told_of
                assert "" not in action.argv


def test_every_kind_of_stage() -> None:
    """Each action becomes what it says; options become those of the command."""
    playbook = parse_playbook(
        b"""
vars: {where: production, must: null, n: 3}
stages:
  - ci
  - ci: {file: a/relman.yml, run: "shop/${n}", image_version: "1", build_args: {A: "b c"}}
  - {promote: {run: shop/1}, name: again, timeout: 5m}
  - deploy: {release: "${release}", environment: "${where}", service: shop, max_unavailable: 50%, inventory: i.yml}
  - rollback: {environment: "${where}", reason: bad}
  - check: {command: [./smoke.sh, "${release}"]}
  - check: {command: "./smoke.sh $release"}
  - check: {http: {url: "https://x/${where}", status: 204, ca: ca.crt}}
  - wait: 2m
  - confirm: Sure?
""",
        "p.yml",
    )
    on = ("--yes", "--environment", "${where}")
    assert playbook.stages == (
        Stage(Verb(("ci",))),
        Stage(
            Verb(("ci", "--file", "a/relman.yml", "--run", "shop/${n}", "--image-version", "1", "--build-arg", "A=b c"))
        ),
        Stage(Verb(("promote", "--run", "shop/1")), "again", 300),
        Stage(
            Verb(
                (
                    "deploy",
                    *on,
                    "--inventory",
                    "i.yml",
                    "--service",
                    "shop",
                    "--max-unavailable",
                    "50%",
                    "--",
                    "${release}",
                )
            )
        ),
        Stage(Verb(("rollback", *on, "--reason", "bad"))),
        Stage(Command(("./smoke.sh", "${release}"))),
        Stage(Command(("/bin/sh", "-c", "./smoke.sh $release"))),
        Stage(Http("https://x/${where}", 204, "ca.crt")),
        Stage(Wait(120)),
        Stage(Confirm("Sure?")),
    )
    assert variables_for(playbook, {"must": "1"}) == {"where": "production", "must": "1", "n": "3"}


def test_a_stage_that_leaves_a_gate_out_says_why() -> None:
    """The gates and the reason become the command's own options; without a reason it is a mistake with its place."""
    text = """
stages:
  - promote: {{run: shop/1, unsafe_skip_gate: [no-flaky, maximum-age]{0}}}
  - deploy: {{release: "118", environment: production, unsafe_skip_gate: [proven-in]{0}}}
"""
    skip, why = "--unsafe-skip-gate", ("--reason", "hotfix")
    assert [stage.action for stage in parse_playbook(text.format(", reason: hotfix").encode(), "p.yml").stages] == [
        Verb(("promote", "--run", "shop/1", *why, skip, "no-flaky", skip, "maximum-age")),
        Verb(("deploy", "--yes", "--environment", "production", *why, skip, "proven-in", "--", "118")),
    ]
    from relman.cli.main import relman

    for stage in parse_playbook(text.format(", reason: hotfix").encode(), "p.yml").stages:
        assert isinstance(stage.action, Verb)
        command = relman.get_command(None, stage.action.name)  # type: ignore[arg-type]
        assert command is not None
        command.make_context(stage.action.name, list(stage.action.argv[1:]))
    assert problems(text.format("")) == [
        "p.yml:3:46: stages[0].promote.unsafe_skip_gate: reason is required: say why",
        "p.yml:4:73: stages[1].deploy.unsafe_skip_gate: reason is required: say why",
    ]


def test_each_mistake_has_its_place() -> None:
    """An unknown verb or key, a stage of two kinds or none, values of the wrong kind: all at once, with what was
    meant."""
    assert problems(
        """vars: {digest: null}
stagse: 1
stages:
  - ci: {fiel: x}
  - dploy: {}
  - wait: 0
  - deploy: {release: "1"}
    check: {command: x}
  - deploy
  - timeout: 3
  - {confirm: x, timeout: 3}
  - check: {http: {url: x, status: 9}}
  - check: {}
"""
    ) == [
        "p.yml:2:1: stagse: unknown key; did you mean stages?",
        "p.yml:4:10: stages[0].ci.fiel: unknown key; did you mean file?",
        "p.yml:5:5: stages[1].dploy: unknown key; did you mean deploy?",
        "p.yml:6:11: stages[2].wait: expected a duration longer than 0",
        "p.yml:7:5: stages[3].deploy.environment: this key is required",
        "p.yml:9:5: stages[4]: expected keys and values, found 'deploy'",
        "p.yml:10:5: stages[5]: say what to do: one of ci, promote, deploy, rollback, check, wait, confirm",
        "p.yml:11:27: stages[6].timeout: it has no meaning for wait and confirm",
        "p.yml:12:36: stages[7].check.http.status: expected a status from 100 to 599, found 9",
        "p.yml:13:12: stages[8].check: say what to check: one of command, http",
    ]
    assert problems("stages: [{ci: {}, wait: 3}]") == ["p.yml:1:10: stages[0]: give one of ci, wait, not 2 of them"]
    assert problems("stages: []") == ["p.yml:1:9: stages: a playbook needs at least one stage"]
    assert problems("vars: {release: 1}\nstages: [promote]") == [
        "p.yml:1:17: vars.release: the stage promote sets this variable: name yours otherwise"
    ]


def test_a_variable_that_nothing_sets_is_found_before_anything_is_done() -> None:
    """A misspelt one, and a release that is asked for before there is one."""
    assert problems(
        """vars: {rel: x}
stages:
  - deploy: {release: "${relase}", environment: "${"}
  - check: {command: ["${release}", 5]}
  - check: {command: "echo ${the_shell_knows}"}
  - ci
  - confirm: ${digest} ${rell}
"""
    ) == [
        "p.yml:3:23: stages[0].deploy.release: nothing sets the variable relase; did you mean rel?",
        "p.yml:3:49: stages[0].deploy.environment: after ${ a variable's name and } must follow; "
        "write $${ for a literal ${",
        "p.yml:4:23: stages[1].check.command[0]: release is known only after a stage ci or promote; "
        "or declare it under vars",
        "p.yml:7:14: stages[4].confirm: nothing sets the variable rell; did you mean rel?",
    ]


def test_variables_are_given_or_missing() -> None:
    """One that the playbook does not know, and one that has no value."""
    playbook = parse_playbook(b"vars: {url: null, n: 1}\nstages: [ci]", "p.yml")
    with pytest.raises(UsageError, match="needs a value for url"):
        variables_for(playbook, {})
    with pytest.raises(UsageError, match="did you mean url"):
        variables_for(playbook, {"ulr": "x"})


@given(st.text(alphabet="ab $-;'\"\n", max_size=12))
def test_a_value_stays_one_word(value: str) -> None:
    """Whatever a variable holds, it adds no argument and no option to a command; an empty one leaves its option out."""
    action = filled(Verb(("deploy", "--environment", "${e}", "--", "${e}")), {"e": value})
    assert isinstance(action, Verb)
    assert action.argv == ("deploy", *(("--environment", value) if value else ()), "--", value)


def test_what_is_known_later_is_shown_as_its_name() -> None:
    """The plan names the release that there is not yet."""
    stage = Stage(Verb(("deploy", "--yes", "--environment", "${e}", "--", "${release}")))
    assert in_words(stage, {"e": "a b"}) == "relman deploy --yes --environment 'a b' ${release}"
    assert in_words(stage, {"e": "x", "release": "7"}).endswith(" 7")
