"""Gates about the statements beside the image: required types, the release statement, and completeness."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from relman.evidence.assessment import Facts
from relman.evidence.gates.test_results import copying
from relman.evidence.gates.verdict import Verdict, passes, stops
from relman.evidence.rules import RuleName
from relman.evidence.verification_summary import ReleaseStatement, read_release
from relman.model.errors import UsageError
from relman.model.formats.clock import rfc3339
from relman.model.image import ImageRef, check_tag
from relman.model.policy import Attested
from relman.model.predicates import RELEASE, short


def attested(rule: Attested, facts: Facts, _: datetime) -> Verdict:
    """Pass if there is a statement of the required type by one of the required signers."""
    gate, kind = "statement", short(rule.predicate_type)
    found = [c for c in facts.counted if c.statement.predicate_type == rule.predicate_type]
    signers = " or ".join(rule.signers)
    good = [c for c in found if not rule.signers or c.signer in rule.signers]
    if good:
        return passes(
            gate, f"there is a {kind} statement" + (f", signed by {good[0].signer}" if good[0].signer else "")
        )
    if found:
        by = ", ".join(sorted({c.signer or "no trusted key" for c in found}))
        return stops(
            gate, f"the {kind} statement is signed by {by}, and {signers} is required", f"Let {signers} sign it."
        )
    who = f" signed by {signers}" if signers else ""
    return stops(gate, f"there is no {kind} statement{who} about it", f"Attach one{who}.", absent=True)


def released(facts: Facts) -> Verdict:
    """Pass if a statement binds repository, tag and digest, as a promotion makes it. Required of every deployment."""
    subject, gate = facts.subject, str(RuleName.RELEASED)
    if newest := binding(facts):
        return passes(gate, f"{subject} was released at {rfc3339(newest.time)}{_skipped(newest)}")
    here = _about(facts)
    if any(s.binds(subject.tag) for s in here):
        return stops(gate, f"the policy refused {subject} when it was promoted", "Promote it again.")
    others = ", ".join(sorted({s.tag for s in here}))
    if not here and (other := _elsewhere(facts)):
        return stops(
            gate,
            f"{subject.resolved.short} is the release {other}, and no statement makes it {subject}",
            f"In the checkout of {other.repository}: {copying(subject, str(other.reference))}",
            absent=True,
        )
    known = f"; it is the release {others}" if others else ""
    return stops(
        gate,
        f"no statement makes {subject.resolved.short} the release {subject}{known}: it was never promoted as that, or "
        "the tag was moved",
        "Promote it: relman promote. If the tag was a release, find out who moved it.",
        absent=not here,
    )


def _elsewhere(facts: Facts) -> ImageRef | None:
    """The release of another repository that this image is, or None."""
    subject = facts.subject
    found = [s for s in _releases(facts) if subject.resolved in s.subjects and (s.passed or s.skipped)]
    for statement in sorted(found, key=lambda s: (s.tag != subject.tag, s.repository, s.tag)):
        with suppress(UsageError):
            other = ImageRef.parse(f"{statement.repository}:{check_tag(statement.tag)}")
            if other.repository != subject.repository:
                return other
    return None


def whole(facts: Facts, *, deploying: bool) -> Verdict | None:
    """Fail if a statement was deleted: it is listed beside the image and cannot be fetched, or it is an input of the
    release that is deployed. None if nothing is missing."""
    newest = binding(facts) if deploying else None
    releases = [s for s in _binding(facts) if newest and s.time == newest.time]
    inputs = sorted({i for s in releases for i in s.inputs} - facts.found)
    missing = [*facts.missing, *(f"the statement {i[:12]}, by which it was released" for i in inputs)]
    if not missing:
        return None
    gone = ", ".join(m[:100] for m in missing[:3]) + (", …" if len(missing) > 3 else "")
    return stops(
        str(RuleName.WHOLE),
        f"evidence about it was deleted: {gone}",
        f"Find out who deleted it and what it said. Then release a new build, or promote this one with "
        f"--unsafe-skip-gate {RuleName.WHOLE} and a reason.",
    )


def binding(facts: Facts) -> ReleaseStatement | None:
    """The newest statement that releases the image under the requested tag, or None."""
    return max(_binding(facts), key=lambda s: s.time, default=None)


def _binding(facts: Facts) -> list[ReleaseStatement]:
    return [s for s in _about(facts) if s.binds(facts.subject.tag) and (s.passed or s.skipped)]


def first_released(facts: Facts) -> datetime | None:
    """When the image was first released under the requested tag; None if it never was."""
    return min((s.time for s in _about(facts) if s.binds(facts.subject.tag) and (s.passed or s.skipped)), default=None)


def names(facts: Facts) -> tuple[str, ...]:
    """The tags and channels under which the image was released."""
    return tuple(dict.fromkeys(name for s in _about(facts) for name in (s.tag, *s.channels)))


def _about(facts: Facts) -> list[ReleaseStatement]:
    subject = facts.subject
    return [s for s in _releases(facts) if s.repository == str(subject.repository) and subject.resolved in s.subjects]


def _releases(facts: Facts) -> list[ReleaseStatement]:
    found = [read_release(c.statement) for c in facts.counted if c.statement.predicate_type == RELEASE]
    return [statement for statement in found if statement]


def _skipped(statement: ReleaseStatement) -> str:
    return "".join(f"; {skip}" for skip in statement.skipped)
