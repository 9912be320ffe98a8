"""Policies: pure decisions from facts and time, which explain themselves and fail closed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.evidence.assessment import Counted, Criteria, Facts, ServedIn, Subject
from relman.evidence.attest import statement_for
from relman.evidence.gates import test_results as gates_of_tests
from relman.evidence.gates.judge import GATES, evaluate, judge
from relman.evidence.gates.proven_in import proven_for
from relman.evidence.test_result import read_statement
from relman.evidence.verification_summary import read_release, release_statement, same
from relman.model import policy as rules
from relman.model.errors import NoEvidence, PolicyRefused, UsageError
from relman.model.image import ManifestDigest
from relman.model.policy import AllOf, AnyOf, Policy, Rule, Skip
from relman.model.state_dir.record import HostRecord
from relman.model.test_cases import Findings, TestTotals
from tests.unit.reports import report
from tests.unit.test_registry_manifest import IMAGE
from tests.unit.values import REPOSITORY, deployed, hexes

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SUBJECT = Subject(REPOSITORY, IMAGE.digest, IMAGE.digest, IMAGE.config, "118")
TESTED = Counted(read_statement(statement_for(report(IMAGE), IMAGE.digest, name="shop")), "ci")
GOOD = Facts(SUBJECT, (TESTED,))
BRANCH = {True: rules.Branch(("master",)), False: rules.Branch(("release/*",))}


def trees(leaves: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    """Rules composed of `leaves` in any way, empty compositions among them."""
    return st.recursive(
        leaves,
        lambda parts: st.lists(parts, max_size=4).map(tuple).flatmap(lambda p: st.sampled_from([AllOf(p), AnyOf(p)])),
        max_leaves=12,
    )


def holds(rule: Rule) -> bool:
    """What a composition of BRANCH means, in Python's own words; nothing holds in nothing."""
    if isinstance(rule, AllOf):
        return bool(rule.rules) and all(holds(r) for r in rule.rules)
    if isinstance(rule, AnyOf):
        return any(holds(r) for r in rule.rules)
    return rule == BRANCH[True]


@given(trees(st.sampled_from(list(BRANCH.values()))))
def test_rules_compose_as_all_and_any_and_empty_ones_stop(rule: Rule) -> None:
    """All-of and any-of mean what they say at any depth, an empty one never passes, and what stops says how to pass."""
    verdict = evaluate(rule, GOOD, NOW)
    assert verdict.passed == holds(rule)
    assert all(leaf.why for leaf in verdict.leaves)
    assert verdict.passed or all(leaf.fix for leaf in verdict.leaves if not leaf.passed)


@given(trees(st.sampled_from(list(BRANCH.values()))), st.booleans())
def test_a_decision_is_that_of_its_rules_and_a_skip_opens_only_what_it_names(rule: Rule, skip: bool) -> None:
    """The image goes on exactly if the whole policy holds; with the gate skipped, if it would hold with that gate
    open; and only what had stopped it is recorded as skipped."""
    skips = (Skip("branch", "because", "me", "2026-01-01T00:00:00Z"),) if skip else ()
    named = any(leaf.gate == "branch" for leaf in evaluate(rule, GOOD, NOW).leaves)
    if skip and not named:
        with pytest.raises(UsageError, match="no gate 'branch'"):
            judge(GOOD, Criteria(policy=Policy(rule), now=NOW, skips=skips), deploying=False)
        return
    decision = judge(GOOD, Criteria(policy=Policy(rule), now=NOW, skips=skips), deploying=False)
    opened = evaluate(_with_open_branches(rule), GOOD, NOW).passed if skip else holds(rule)
    assert decision.passed == opened
    assert bool(decision.skipped) <= (skip and not holds(rule))


def _with_open_branches(rule: Rule) -> Rule:
    if isinstance(rule, AllOf | AnyOf):
        return replace(rule, rules=tuple(_with_open_branches(r) for r in rule.rules))
    return BRANCH[True]


def test_every_kind_of_rule_has_a_gate() -> None:
    """No rule that a policy can name is without a judge."""
    kinds = set(Rule.__args__) - {AllOf, AnyOf}
    assert set(GATES) == kinds


ALL: list[Rule] = [
    rules.MinimumTests(1),
    rules.NoFailures(),
    rules.NoFlaky(),
    rules.MaximumAge(86400 * 2),
    BRANCH[True],
    rules.CleanCheckout(),
    rules.Attested(TESTED.statement.predicate_type, ("ci",)),
    rules.ProvenIn("staging"),
]
PROVEN = HostRecord("shop", "staging", (replace(deployed("1"), manifest=IMAGE.digest),), "1")
SERVED = {"staging": ServedIn({"h1": PROVEN})}


@given(st.sampled_from(ALL))
def test_nothing_known_passes_nothing(rule: Rule) -> None:
    """Without any statement and any record every gate is shut, and with a good test result and record it is open."""
    assert not evaluate(rule, Facts(SUBJECT), NOW).passed
    assert evaluate(rule, replace(GOOD, served=SERVED), NOW).passed


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (rules.MinimumTests(2), "1 test passed, 2 are required"),
        (rules.MaximumAge(3600), "the tests ended 24 h ago"),
        (BRANCH[False], "it is of the branch master, and release/* is required"),
        (rules.Attested(TESTED.statement.predicate_type, ("builder",)), "signed by ci, and builder is required"),
        (rules.Attested("https://slsa.dev/provenance/v1"), "there is no provenance statement"),
        (rules.ProvenIn("staging"), "its hosts were not asked"),
    ],
)
def test_a_shut_gate_says_why_and_what_would_open_it(rule: Rule, why: str) -> None:
    """Each says the fact that stops, and what would make it pass."""
    verdict = evaluate(rule, GOOD, NOW)
    assert not verdict.passed
    assert why in verdict.why
    assert verdict.fix


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"commit": replace(report(IMAGE).commit, dirty=True)}, rules.CleanCheckout()),
        ({"commit": replace(report(IMAGE).commit, revision="")}, rules.CleanCheckout()),
        ({"commit": replace(report(IMAGE).commit, revision="")}, BRANCH[True]),
        ({"finished": ""}, rules.MaximumAge(1e9)),
        ({"finished": "2026-01-03T00:00:00Z"}, rules.MaximumAge(1e9)),
        ({"finished": "2026-01-01T00:00:00"}, rules.MaximumAge(1e9)),
    ],
    ids=["dirty", "no commit", "no branch", "no time", "a time to come", "a time without zone"],
)
def test_what_a_test_result_does_not_say_does_not_pass(changes: dict[str, object], rule: Rule) -> None:
    """A result that says the wrong thing, nothing, or what cannot be, shuts the gate that asks for it."""
    tested = statement_for(replace(report(IMAGE), **changes), IMAGE.digest, name="shop")  # type: ignore[arg-type]
    assert not evaluate(rule, Facts(SUBJECT, (Counted(read_statement(tested)),)), NOW).passed


def test_a_gate_says_that_only_exit_codes_speak() -> None:
    """Of a pass without result files the gates that count tests say so."""
    for verdict in (gates_of_tests.tests_passed(GOOD), evaluate(rules.MinimumTests(1), GOOD, NOW)):
        assert verdict.passed
        assert "exit code only" in verdict.why


@given(st.timedeltas(timedelta(), timedelta(days=9)), st.timedeltas(timedelta(), timedelta(days=9)))
def test_age_is_by_the_time_given(age: timedelta, allowed: timedelta) -> None:
    """The same facts pass or not by the time and the limit alone."""
    ended = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    rule = rules.MaximumAge(allowed.total_seconds())
    assert evaluate(rule, GOOD, ended + age).passed == (age <= allowed)


def test_the_newest_result_counts() -> None:
    """A later failure takes an earlier pass away, a later pass makes good for a failure, whatever their order."""
    for codes, passed in (((0, 1), False), ((1, 0), True)):
        results = [
            Counted(
                read_statement(
                    statement_for(
                        replace(report(IMAGE, exit_code=code), finished=f"2026-01-01T0{hour}:00:00Z"),
                        IMAGE.digest,
                        name="shop",
                    )
                )
            )
            for hour, code in enumerate(codes)
        ]
        for order in (results, results[::-1]):
            assert judge(Facts(SUBJECT, tuple(order)), Criteria(now=NOW), deploying=False).passed is passed


# The promotion order


def record(*entries: tuple[str, str, bool], current: str) -> HostRecord:
    """A record of (id, day in January, proven), each of a release of its own name."""
    made = tuple(replace(deployed(i, proven=p), at=f"2026-01-{day}T00:00:00Z") for i, day, p in entries)
    return HostRecord("shop", "staging", made, current)


DIGEST = {name: ManifestDigest("sha256:" + hexes(name)) for name in "abc"}
LATER = datetime(2026, 1, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("remembered", "days"),
    [
        (record(("a", "10", True), current="a"), 10),
        (record(("a", "10", True), ("b", "12", True), current="b"), 2),
        (record(("a", "10", False), current="a"), None),
        (record(("a", "10", False), ("b", "12", True), current="b"), None),
        (record(("b", "12", True), current="b"), None),
        (record(current=""), None),
        (record(("a", "10", True), ("b", "12", False), current="a"), 10),
        (record(("a", "25", True), current="a"), 0),
    ],
    ids=["serves", "replaced", "unproven", "rolled back from", "another", "nothing", "went back to", "future"],
)
def test_how_long_an_image_was_proven_good(remembered: HostRecord, days: int | None) -> None:
    """From its deployment to the next one or to now; what was rolled back from, or never proven, counts for nothing."""
    assert proven_for(remembered, DIGEST["a"], LATER) == (None if days is None else timedelta(days=days))


def test_the_promotion_order_wants_every_host() -> None:
    """The shortest time of all hosts counts; a host without it, or that could not be asked, shuts the gate."""
    subject = replace(SUBJECT, manifest=DIGEST["a"], resolved=DIGEST["a"])
    long, brief = record(("a", "10", True), current="a"), record(("a", "19", True), current="a")
    rule = rules.ProvenIn("staging", 86400 * 2)
    for served, passed in (
        (ServedIn({"h1": long, "h2": long}), True),
        (ServedIn({"h1": long, "h2": brief}), False),
        (ServedIn({"h1": long, "h2": record(current="")}), False),
        (ServedIn({"h1": long}, why="h2 does not answer"), False),
        (ServedIn(), False),
    ):
        facts = Facts(subject, served={"staging": served})
        assert evaluate(rule, facts, LATER).passed is passed


# Release statements


def released(subject: Subject, *, at: datetime = NOW, channels: tuple[str, ...] = ()) -> Counted:
    """A release statement of the subject."""
    decision = judge(GOOD, Criteria(now=NOW), deploying=False)
    made = release_statement(
        subject, Policy(), decision.verdicts, channels=channels, inputs=decision.facts.counted, now=at
    )
    return Counted(read_statement(made), "ci", made)


@pytest.mark.parametrize(
    ("bound", "asked"),
    [
        (SUBJECT, SUBJECT),
        (SUBJECT, replace(SUBJECT, tag="stable")),
        (SUBJECT, replace(SUBJECT, tag=None)),
    ],
    ids=["its tag", "its channel", "its digest"],
)
def test_a_release_is_what_its_statement_binds(bound: Subject, asked: Subject) -> None:
    """Asked for by its tag, a channel that followed it, or its digest, it is the release."""
    facts = Facts(asked, (TESTED, released(bound, channels=("stable",))))
    assert judge(facts, Criteria(now=NOW), deploying=True).passed


@pytest.mark.parametrize(
    "bound",
    [
        None,
        replace(SUBJECT, tag="117"),
        replace(SUBJECT, repository=replace(REPOSITORY, name="other")),
        replace(SUBJECT, manifest=DIGEST["b"], resolved=DIGEST["b"]),
    ],
    ids=["nothing", "another tag", "another repository", "another image"],
)
def test_what_no_statement_binds_is_no_release(bound: Subject | None) -> None:
    """A tested image under a tag, in a repository, that no statement binds it to is refused by the rule's name."""
    facts = Facts(SUBJECT, (TESTED, *([released(bound)] if bound else [])))
    with pytest.raises(PolicyRefused, match="release-statement"):
        judge(facts, Criteria(now=NOW), deploying=True).require()


def test_a_release_of_another_repository_is_told_how_it_becomes_one_here() -> None:
    """The command is whole, with the name that the tag has there; it opens nothing by itself."""
    elsewhere = replace(SUBJECT, repository=replace(REPOSITORY, name="other"), tag="117")
    decision = judge(Facts(SUBJECT, (TESTED, released(elsewhere))), Criteria(now=NOW), deploying=True)
    verdict = decision.verdicts[1]
    assert (decision.passed, verdict.passed) == (False, False)
    assert f"is the release {elsewhere.repository}:117" in verdict.why
    assert verdict.fix == f"In the checkout of {elsewhere.repository}: relman promote 117 --to {REPOSITORY}"


@pytest.mark.parametrize(
    ("uri", "tag"), [("x; rm -rf /", "1"), ("registry.example/other", "$(id)"), ("", ""), (str(REPOSITORY), "119")]
)
def test_no_command_is_made_of_what_is_no_name(uri: str, tag: str) -> None:
    """A statement may say anything: what is no repository and no tag, or is this one, is not offered."""
    made = released(replace(SUBJECT, tag="117"))
    statement = replace(made.statement, predicate={**made.statement.predicate, "resourceUri": f"oci://{uri}:{tag}"})
    verdict = judge(Facts(SUBJECT, (TESTED, replace(made, statement=statement))), Criteria(now=NOW), deploying=True)
    assert "--to" not in verdict.verdicts[1].fix


def test_a_release_statement_says_what_was_judged() -> None:
    """It is a SLSA verification summary: subject, resource, policy, inputs and result; a skip makes the result FAILED
    and is told; and it is the same whenever it was made."""
    skip = Skip("branch", "a fire", "me", "2026-01-01T00:00:00Z")
    check = Criteria(policy=Policy(BRANCH[False], "[1]", "relman.yml"), now=NOW, skips=(skip,))
    decision = judge(GOOD, check, deploying=False)
    assert decision.passed
    made = [
        release_statement(SUBJECT, check.policy, decision.verdicts, channels=[], inputs=[TESTED], now=now)
        for now in (NOW, LATER)
    ]
    read = read_release(read_statement(made[0]))
    assert read
    assert (read.repository, read.tag, read.passed, read.skipped) == (str(REPOSITORY), "118", False, (skip,))
    assert read_statement(made[0]).predicate["policy"]["uri"] == "relman.yml"
    assert same(*made)
    assert not same(made[0], statement_for(report(IMAGE), IMAGE.digest, name="shop"))
    facts = Facts(SUBJECT, (TESTED, Counted(read_statement(made[0]))))
    assert judge(facts, Criteria(now=NOW), deploying=True).passed


def test_nothing_at_all_is_no_evidence() -> None:
    """An image that nobody ever tested is NoEvidence, and every shut gate is named."""
    with pytest.raises(NoEvidence, match="tests-passed, release-statement"):
        judge(Facts(SUBJECT), Criteria(now=NOW), deploying=True).require()


def test_single_tests_count_where_they_are_known() -> None:
    """Totals that the commands wrote down count single tests, less those that failed or were skipped; without them each
    command is a test. A flaky one is named."""
    findings = Findings(TestTotals(tests=12, failed=0, skipped=2), flaky=("test_a",))
    tested = replace(report(IMAGE), findings=findings)
    facts = Facts(SUBJECT, (Counted(read_statement(statement_for(tested, IMAGE.digest, name="shop"))),))
    assert evaluate(rules.MinimumTests(10), facts, NOW).passed
    assert not evaluate(rules.MinimumTests(11), facts, NOW).passed
    flaky = evaluate(rules.NoFlaky(), facts, NOW)
    assert not flaky.passed
    assert "test_a" in flaky.why
