"""Statements, and the decision whether they are good enough."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.evidence.assessment import Criteria, Subject, gather
from relman.evidence.attest import statement_for
from relman.evidence.dsse import IN_TOTO
from relman.evidence.envelopes import UNSIGNED, Envelope
from relman.evidence.gates.judge import judge
from relman.evidence.test_result import MAX_STATEMENT, STATEMENT_TYPE, TestResult, read_statement, read_test_result
from relman.model.errors import NoEvidence, PolicyRefused
from relman.model.image import ConfigDigest, ManifestDigest
from relman.model.predicates import TEST_RESULT
from relman.model.run import CommandResult
from relman.model.test_cases import Findings, TestTotals
from tests.unit.reports import report
from tests.unit.test_registry_manifest import IMAGE, json_values
from tests.unit.values import REPOSITORY, hexes

GOOD = statement_for(report(IMAGE), IMAGE.digest, name="registry.example/shop")
FAILED = statement_for(report(IMAGE, exit_code=1), IMAGE.digest, name="registry.example/shop")


def require_passed(payloads: Iterable[bytes], manifest: ManifestDigest, config: ConfigDigest) -> TestResult:
    """The test result by which an image with these unsigned statements beside it may go on."""
    opened = [o for p in payloads if (o := UNSIGNED.unwrap(Envelope(IN_TOTO, p)))]
    facts = gather(opened, Subject(REPOSITORY, manifest, manifest, config, "118"), Criteria())
    judge(facts, Criteria(), deploying=False).require()
    assert facts.result
    return facts.result


def changed(path: str, value: object, base: bytes = GOOD) -> bytes:
    """A statement with one value changed."""
    document = json.loads(base)
    target: Any = document
    *parents, last = path.split(".")
    for key in parents:
        target = target[int(key) if key.isdecimal() else key]
    target[last] = value
    return json.dumps(document).encode()


def test_a_statement_says_what_was_tested() -> None:
    """By the in-toto specifications: the subject, the result, and as configuration the image, source and services."""
    document = json.loads(GOOD)
    assert document["_type"] == STATEMENT_TYPE
    assert document["predicateType"] == TEST_RESULT
    assert document["subject"] == [{"name": "registry.example/shop", "digest": {"sha256": IMAGE.digest.hex}}]
    predicate = document["predicate"]
    assert predicate["result"] == "PASSED"
    assert predicate["passedTests"] == ["pytest -q 'a test'"]
    assert (predicate["failedTests"], predicate["warnedTests"]) == ([], [])
    image, source, service = predicate["configuration"]
    assert image["digest"] == {"sha256": "a" * 64}
    assert image["annotations"]["run"] == "shop/118"
    assert image["annotations"]["commands"] == [{"argv": ["pytest", "-q", "a test"], "exitCode": 0, "seconds": 1.5}]
    assert (source["uri"], source["digest"]) == ("https://git.example/shop", {"gitCommit": "c0ffee"})
    assert (service["name"], service["digest"]) == ("service/db", {"sha256": hexes("db")})


def test_a_statement_is_read_back() -> None:
    """What was written is read, and a failure is a failure."""
    statement = read_statement(GOOD)
    assert statement.subjects == {IMAGE.digest}
    result = read_test_result(statement)
    assert (result.result, result.config, result.commit, result.run) == ("PASSED", IMAGE.config, "c0ffee", "shop/118")
    assert read_test_result(read_statement(FAILED)).failed == ("pytest -q 'a test'",)


def test_what_a_pass_rests_on() -> None:
    """A statement says that nothing but exit codes speaks for a pass, and not where result files show a test that ran;
    one of before that was said is read so too, one of another maker is not. A gate says it."""

    def stated(**changes: Any) -> bytes:
        return statement_for(replace(report(IMAGE), **changes), IMAGE.digest, name="registry.example/shop")

    disabled, counted = Findings(TestTotals(2, 0, 2)), Findings(TestTotals(3, 0, 2))
    notes = [json.loads(s)["predicate"]["configuration"][0]["annotations"] for s in (GOOD, stated(findings=counted))]
    assert [n.get("judgedBy") for n in notes] == ["exit code only", None]
    older = {k: v for k, v in notes[0].items() if k != "judgedBy"}
    for payload, alone, tests in (
        (GOOD, True, 1),
        (stated(findings=disabled), True, 0),
        (stated(findings=counted), False, 1),
        (changed("predicate.configuration.0.annotations", older), True, 1),
        (changed("predicate.configuration.0.annotations", {}), False, 1),
    ):
        result = require_passed([payload], IMAGE.digest, IMAGE.config)
        assert (bool(result.judged_by), result.tests) == (alone, tests)


def test_where_nothing_ran_nothing_passed() -> None:
    """A command whose result files show no test that ran names no test that passed, whoever allowed it."""
    command = CommandResult(("ctest",), 0, 1.0, ran_nothing=True)
    nothing = replace(report(IMAGE), commands=(command,), findings=Findings(TestTotals(1, 0, 1)))
    predicate = json.loads(statement_for(nothing, IMAGE.digest, name="registry.example/shop"))["predicate"]
    assert (predicate["result"], predicate["passedTests"], predicate["failedTests"]) == ("FAILED", [], [])
    both = replace(nothing, commands=(*report(IMAGE).commands, command))
    predicate = json.loads(statement_for(both, IMAGE.digest, name="registry.example/shop"))["predicate"]
    assert (predicate["result"], predicate["passedTests"]) == ("PASSED", ["pytest -q 'a test'"])


@given(st.binary())
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    """Bytes that are no statement are PolicyRefused, and nothing else."""
    with pytest.raises(PolicyRefused, match="statement-readable"):
        read_statement(payload)


PARTS = ["_type", "subject", "predicateType", "predicate", "subject.0.digest", "subject.0.digest.sha256"]
PARTS += [f"predicate.{key}" for key in ("result", "configuration", "passedTests", "failedTests")]
PARTS += [f"predicate.configuration.0.{key}" for key in ("name", "digest", "digest.sha256", "annotations")]


@given(st.sampled_from(PARTS), json_values)
def test_any_change_is_read_or_refused(part: str, value: object) -> None:
    """A statement with any part replaced by anything is accepted as a pass of this image or is PolicyRefused."""
    with suppress(PolicyRefused):
        assert require_passed([changed(part, value)], IMAGE.digest, IMAGE.config).config == IMAGE.config


@pytest.mark.parametrize(
    "payload",
    [
        GOOD[:-1],
        GOOD + b"{}",
        GOOD.replace(b'{"_type"', b'{"predicateType":"x","_type"', 1),
        changed("padding", "x" * MAX_STATEMENT),
        changed("_type", "https://in-toto.io/Statement/v2"),
        changed("subject", []),
        changed("subject.0.digest.sha256", "A" * 64),
        changed("predicate", None),
    ],
    ids=["truncated", "trailing", "duplicate key", "huge", "other version", "no subject", "no digest", "no predicate"],
)
def test_what_is_not_exactly_a_statement_is_refused(payload: bytes) -> None:
    """Truncated, doubled, huge and ambiguous statements are refused by name, and are no evidence."""
    with pytest.raises(PolicyRefused, match="statement-readable"):
        read_statement(payload)
    with pytest.raises(NoEvidence):
        require_passed([payload], IMAGE.digest, IMAGE.config)


def test_nothing_is_no_evidence() -> None:
    """Without any statement the answer is no."""
    with pytest.raises(NoEvidence, match="evidence-present"):
        require_passed([], IMAGE.digest, IMAGE.config)


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        (FAILED, "tests-passed"),
        (changed("predicate.result", "WARNED"), "tests-passed"),
        (changed("predicate.failedTests", ["one"]), "tests-passed"),
        (changed("predicate.passedTests", []), "tests-passed"),
        (changed("predicate.configuration.0.digest.sha256", "b" * 64), "config-is-the-tested-one"),
    ],
    ids=["failed", "warned", "passed with a failure", "no test", "other configuration"],
)
def test_what_does_not_show_a_pass_is_refused(payload: bytes, rule: str) -> None:
    """A statement about this image that shows no pass is refused by the rule that it breaks; beside a pass it does not
    matter."""
    with pytest.raises(PolicyRefused) as caught:
        require_passed([payload], IMAGE.digest, IMAGE.config)
    assert rule in " ".join(caught.value.details)
    assert not isinstance(caught.value, NoEvidence)
    assert require_passed([payload, GOOD], IMAGE.digest, IMAGE.config).result == "PASSED"


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        (changed("subject.0.digest.sha256", "b" * 64), "subject-is-this-image"),
        (changed("subject.0.digest", {"gitCommit": "c0ffee"}), "subject-is-this-image"),
        (changed("predicateType", "https://slsa.dev/provenance/v1"), "evidence-present"),
        (changed("predicate.configuration", []), "statement-readable"),
    ],
    ids=["other image", "no image", "other predicate", "no configuration"],
)
def test_what_is_about_something_else_is_no_evidence(payload: bytes, rule: str) -> None:
    """A statement about another image, or that is no test result, counts as none, and the refusal says why."""
    with pytest.raises(NoEvidence) as caught:
        require_passed([payload], IMAGE.digest, IMAGE.config)
    assert rule in " ".join(caught.value.details)


def test_the_config_digest_is_no_subject() -> None:
    """A statement whose subject is the configuration's digest says nothing about the manifest with that digest."""
    confused = statement_for(report(IMAGE), ManifestDigest(IMAGE.config.value), name="shop")
    with pytest.raises(NoEvidence):
        require_passed([confused], IMAGE.digest, ConfigDigest(IMAGE.config.value))
