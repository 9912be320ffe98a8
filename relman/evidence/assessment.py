"""What is known of one image when it is judged: the statements that count, why others do not, and where it served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from relman.evidence.envelopes import UNSIGNED, Opened, Seal
from relman.evidence.rules import Rule
from relman.evidence.test_result import Statement, TestResult, read_statement, read_test_result
from relman.model.errors import PolicyRefused
from relman.model.image import ConfigDigest, Digest, ManifestDigest, Repository
from relman.model.policy import NO_POLICY, Policy, Skip
from relman.model.predicates import TEST_RESULT
from relman.model.record import HostRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Subject:
    """The image that is judged: its manifest, the index that holds it (else the same), its configuration, and the tag
    under which it was asked for (None: by its digest)."""

    repository: Repository
    manifest: ManifestDigest
    resolved: ManifestDigest
    config: ConfigDigest
    tag: str | None = None

    @property
    def images(self) -> tuple[ManifestDigest, ...]:
        """The manifest, and the index if there is one."""
        return tuple(dict.fromkeys((self.resolved, self.manifest)))

    def __str__(self) -> str:
        return f"{self.repository.name}:{self.tag}" if self.tag else f"{self.repository.name}@{self.manifest}"


@dataclass(frozen=True)
class Counted:
    """A statement about the image that counts, and whose signature made it count ("" where none is asked for)."""

    statement: Statement
    signer: str = ""
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Served:
    """What the hosts of an environment remember of the service, by host; `why` they could not be asked, if so."""

    records: Mapping[str, HostRecord] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Facts:
    """Everything that is judged. `refused` says of each statement that does not count why; `served` where the service
    was deployed, by environment; `missing` are statements that are listed beside the image, and not there; `uncounted`
    the SHA-256 of those that are there and do not count."""

    subject: Subject
    counted: tuple[Counted, ...] = ()
    refused: tuple[str, ...] = ()
    served: Mapping[str, Served] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    uncounted: frozenset[str] = frozenset()

    @cached_property
    def found(self) -> frozenset[str]:
        """The SHA-256 of every statement that is there."""
        return self.uncounted | {Digest.of(c.payload).hex for c in self.counted}

    @cached_property
    def results(self) -> tuple[tuple[TestResult, Counted], ...]:
        """The test results about the manifest itself, the newest first; of equally new ones a pass first."""
        found = [
            (read_test_result(c.statement), c)
            for c in self.counted
            if c.statement.predicate_type == TEST_RESULT and self.subject.manifest in c.statement.subjects
        ]
        return tuple(sorted(found, key=lambda f: (f[0].ended or _EPOCH, not f[0].fault), reverse=True))

    @property
    def result(self) -> TestResult | None:
        """The newest test result of exactly this image's configuration: the one that counts."""
        return next((r for r, _ in self.results if r.config == self.subject.config), None)


@dataclass(frozen=True)
class Check:
    """How images are judged: whose statements count, by which policy, at what time, with which gates left out, and what
    hosts remember, by environment."""

    seal: Seal = UNSIGNED
    policy: Policy = NO_POLICY
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    skips: tuple[Skip, ...] = ()
    served: Mapping[str, Served] = field(default_factory=dict)


def gather(opened: Iterable[Opened], subject: Subject, check: Check, missing: Iterable[str] = ()) -> Facts:
    """Read what was found beside the image, and let those statements count that may."""
    counted: dict[bytes, Counted] = {}
    refused: dict[bytes, str] = {}
    for one in opened:
        try:
            counted[one.payload] = count(one, subject, check)
        except PolicyRefused as refusal:
            refused[one.payload] = refusal.what
    uncounted = frozenset(Digest.of(payload).hex for payload in refused)
    return Facts(subject, tuple(counted.values()), tuple(refused.values()), check.served, tuple(missing), uncounted)


def count(opened: Opened, subject: Subject, check: Check) -> Counted:
    """One statement that counts. Raises PolicyRefused, naming the rule, for one that does not."""
    if opened.refusal:
        raise PolicyRefused(f"a statement does not count: {opened.refusal}")
    statement = read_statement(opened.payload)
    if not statement.subjects & set(subject.images):
        others = ", ".join(sorted(s.short for s in statement.subjects)[:3])
        raise Rule.SUBJECT.refuses(f"the statement is about {others or 'no image'}, not about {subject.manifest.short}")
    admission = check.seal.admit(opened, statement, subject.images, subject.repository, check.now)
    if admission.refusal:
        raise PolicyRefused(f"a statement does not count: {admission.refusal}")
    if statement.predicate_type == TEST_RESULT:
        read_test_result(statement)
    return Counted(statement, admission.signer, opened.payload)
