"""The facts by which an image is judged: the statements that count, why others do not, and where the image served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from relman.evidence.envelopes import UNSIGNED, Opened, Seal
from relman.evidence.rules import RuleName
from relman.evidence.test_result import Statement, TestResult, read_statement, read_test_result
from relman.model.errors import PolicyRefused
from relman.model.image import ConfigDigest, Digest, ManifestDigest, Repository
from relman.model.policy import NO_POLICY, Policy, Skip
from relman.model.predicates import TEST_RESULT
from relman.model.state_dir.record import HostRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Subject:
    """The image under judgement: its manifest, the index that contains it (else the manifest again), its configuration,
    and the tag that was asked for (None: it was asked for by digest)."""

    repository: Repository
    manifest: ManifestDigest
    resolved: ManifestDigest
    config: ConfigDigest
    tag: str | None = None

    @property
    def images(self) -> tuple[ManifestDigest, ...]:
        """The digests that a statement may name: the index, if there is one, and the manifest."""
        return tuple(dict.fromkeys((self.resolved, self.manifest)))

    def __str__(self) -> str:
        return f"{self.repository.name}:{self.tag}" if self.tag else f"{self.repository.name}@{self.manifest}"


@dataclass(frozen=True)
class Counted:
    """A statement that counts, and the name of the trusted key that signed it ("" where signatures are not checked)."""

    statement: Statement
    signer: str = ""
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class ServedIn:
    """The service's record on each host of an environment; `why` is the reason if the hosts could not be asked."""

    records: Mapping[str, HostRecord] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Facts:
    """The input of every gate.

    `refused` holds one sentence for each statement that does not count; `served` the records by environment; `missing`
    the statements that are listed beside the image but cannot be fetched; `uncounted` the SHA-256 of the statements
    that were fetched and do not count.
    """

    subject: Subject
    counted: tuple[Counted, ...] = ()
    refused: tuple[str, ...] = ()
    served: Mapping[str, ServedIn] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    uncounted: frozenset[str] = frozenset()

    @cached_property
    def found(self) -> frozenset[str]:
        """The SHA-256 of every statement that was fetched, counted or not."""
        return self.uncounted | {Digest.of(c.payload).hex for c in self.counted}

    @cached_property
    def results(self) -> tuple[tuple[TestResult, Counted], ...]:
        """The test results about the manifest itself, newest first; among equally new ones, a pass comes first."""
        found = [
            (read_test_result(c.statement), c)
            for c in self.counted
            if c.statement.predicate_type == TEST_RESULT and self.subject.manifest in c.statement.subjects
        ]
        return tuple(sorted(found, key=lambda f: (f[0].ended or _EPOCH, not f[0].fault), reverse=True))

    @property
    def result(self) -> TestResult | None:
        """The newest test result of this image's configuration, or None. Older ones are not considered."""
        return next((r for r, _ in self.results if r.config == self.subject.config), None)


@dataclass(frozen=True)
class Criteria:
    """How images are judged: which signatures count, the policy, the time of the judgement, the gates that a person
    skips, and the hosts' records by environment."""

    seal: Seal = UNSIGNED
    policy: Policy = NO_POLICY
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    skips: tuple[Skip, ...] = ()
    served: Mapping[str, ServedIn] = field(default_factory=dict)


def gather(opened: Iterable[Opened], subject: Subject, check: Criteria, missing: Iterable[str] = ()) -> Facts:
    """Verify the statements found beside the image and sort them into those that count and those that do not."""
    counted: dict[bytes, Counted] = {}
    refused: dict[bytes, str] = {}
    for one in opened:
        try:
            counted[one.payload] = count(one, subject, check)
        except PolicyRefused as refusal:
            refused[one.payload] = refusal.what
    uncounted = frozenset(Digest.of(payload).hex for payload in refused)
    return Facts(subject, tuple(counted.values()), tuple(refused.values()), check.served, tuple(missing), uncounted)


def count(opened: Opened, subject: Subject, check: Criteria) -> Counted:
    """Verify one statement (steps 4 to 6 of relman/evidence/release.py).

    Raises PolicyRefused, naming the rule, for a statement that does not count.
    """
    # Step 4: a trusted key signed it.
    if opened.refusal:
        raise PolicyRefused(f"a statement does not count: {opened.refusal}")
    # Step 5: it is one readable statement, and it is about this image.
    statement = read_statement(opened.payload)
    if not statement.subjects & set(subject.images):
        others = ", ".join(sorted(s.short for s in statement.subjects)[:3])
        raise RuleName.SUBJECT.refuses(
            f"the statement is about {others or 'no image'}, not about {subject.manifest.short}"
        )
    # Step 6: the key may sign this type for this repository, is not revoked, and was valid at that time.
    admission = check.seal.admit(opened, statement, subject.images, subject.repository, check.now)
    if admission.refusal:
        raise PolicyRefused(f"a statement does not count: {admission.refusal}")
    if statement.predicate_type == TEST_RESULT:
        read_test_result(statement)
    return Counted(statement, admission.signer, opened.payload)
