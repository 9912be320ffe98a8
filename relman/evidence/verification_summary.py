"""Release statements: they bind repository, tag and digest. Pure.

The predicate is a SLSA Verification Summary v1 (https://slsa.dev/spec/v1.0/verification_summary); the fields that begin
with `relman_` are extensions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import relman
from relman.evidence.assessment import Counted, Subject
from relman.evidence.gates.verdict import Verdict
from relman.evidence.test_result import STATEMENT_TYPE, Statement, read_statement
from relman.evidence.untrusted import digests, mapping, moment, notes
from relman.model.errors import PolicyRefused
from relman.model.formats.clock import rfc3339
from relman.model.image import Digest, ManifestDigest
from relman.model.policy import Policy, Skip
from relman.model.predicates import RELEASE

VERIFIER = "urn:relman:promote"
_SCHEME = "oci://"
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ReleaseStatement:
    """The parts of a release statement that relman uses.

    `repository` is registry/name. `channels` are the floating tags that were to follow the release; `skipped` the gates
    that a person skipped; `policy` and `inputs` the SHA-256 of the policy and of the statements that were judged.
    """

    subjects: frozenset[ManifestDigest]
    repository: str
    tag: str
    passed: bool
    time: datetime
    channels: tuple[str, ...] = ()
    skipped: tuple[Skip, ...] = ()
    policy: str = ""
    inputs: tuple[str, ...] = ()

    def binds(self, tag: str | None) -> bool:
        """Whether the statement releases the image under this tag or channel; None means by digest, always True."""
        return tag is None or tag == self.tag or tag in self.channels


def release_statement(
    subject: Subject,
    policy: Policy,
    verdicts: Sequence[Verdict],
    *,
    channels: Sequence[str],
    inputs: Sequence[Counted],
    now: datetime,
) -> bytes:
    """Return the statement that releases `subject` under its tag, with the policy's verdicts on `inputs`."""
    skipped = [leaf.skip for verdict in verdicts for leaf in verdict.leaves if leaf.skip]
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": str(subject.repository), "digest": {"sha256": i.hex}} for i in subject.images],
        "predicateType": RELEASE,
        "predicate": {
            "verifier": {"id": VERIFIER, "version": {"relman": relman.__version__}},
            "timeVerified": rfc3339(now),
            "resourceUri": f"{_SCHEME}{subject.repository}:{subject.tag}",
            "policy": {
                "uri": policy.origin or "urn:relman:policy:none",
                "digest": {"sha256": hashlib.sha256(policy.source.encode()).hexdigest()},
            },
            "inputAttestations": [{"digest": {"sha256": Digest.of(i.payload).hex}} for i in inputs],
            "verificationResult": "PASSED" if all(v.passed for v in verdicts) else "FAILED",
            "verifiedLevels": ["SLSA_BUILD_LEVEL_UNEVALUATED"],
            "slsaVersion": "1.0",
            "relman_channels": list(channels),
            "relman_gates": [verdict.to_json() for verdict in verdicts],
            "relman_skipped": [asdict(skip) for skip in skipped],
        },
    }
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def read_release(statement: Statement) -> ReleaseStatement | None:
    """Read a release statement; None if it binds no tag, like those of other verifiers."""
    predicate = statement.predicate
    uri = predicate.get("resourceUri")
    if statement.predicate_type != RELEASE or not isinstance(uri, str) or not uri.startswith(_SCHEME):
        return None
    repository, _, tag = uri.removeprefix(_SCHEME).rpartition(":")
    return ReleaseStatement(
        subjects=statement.subjects,
        repository=repository,
        tag=tag,
        passed=predicate.get("verificationResult") == "PASSED",
        time=moment(predicate.get("timeVerified")) or _NO_TIME,
        channels=tuple(_texts(predicate.get("relman_channels"))),
        skipped=tuple(_skips(predicate.get("relman_skipped"))),
        policy=str(digests(mapping(predicate.get("policy"))).get("sha256", "")),
        inputs=tuple(_inputs(predicate.get("inputAttestations"))),
    )


def same(one: bytes, other: bytes) -> bool:
    """Whether two statements of relman's are equal except for their time."""
    try:
        first, second = read_statement(one), read_statement(other)
    except PolicyRefused:
        return False
    if RELEASE not in (first.predicate_type, second.predicate_type):
        return bool(_without_time(one) == _without_time(other))
    released = [read_release(s) for s in (first, second)]
    first_release, second_release = (replace(r, time=_NO_TIME) if r else None for r in released)
    return first_release is not None and first_release == second_release


def _without_time(payload: bytes) -> Any:
    document = json.loads(payload)
    configuration = document["predicate"].get("configuration")
    for descriptor in configuration if isinstance(configuration, list) else []:
        notes(mapping(descriptor)).pop("attested", None)
    return document


def _texts(value: object) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _inputs(value: object) -> list[str]:
    return [str(digests(mapping(v)).get("sha256", "")) for v in value] if isinstance(value, list) else []


def _skips(value: object) -> list[Skip]:
    found: list[Any] = value if isinstance(value, list) else []
    return [
        Skip(*(str(s.get(key, "")) for key in ("gate", "reason", "by", "at"))) for s in found if isinstance(s, dict)
    ]
