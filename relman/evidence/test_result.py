"""Read in-toto Statements, and test results (predicate test-result v0.1) among them, from untrusted bytes. Pure.

Specifications: in-toto Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) and
test-result v0.1 (https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from relman.evidence.rules import RuleName
from relman.evidence.untrusted import at, count, digests, mapping, moment, names
from relman.evidence.untrusted import notes as notes_of
from relman.model.errors import UsageError
from relman.model.image import ConfigDigest, ManifestDigest
from relman.model.predicates import TEST_RESULT
from relman.registry.strictjson import load_object

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
# v0.1 has the same fields; cosign writes its own attestations in it.
STATEMENT_TYPES = (STATEMENT_TYPE, "https://in-toto.io/Statement/v0.1")
MAX_STATEMENT = 1 << 20
IMAGE_CONFIG = "image-config"
SOURCE = "source"
EXIT_CODE_ONLY, SMOKE_ONLY = "exit code only", "smoke only"
_TIMES = (
    ("timeVerified",),
    ("runDetails", "metadata", "finishedOn"),
    ("metadata", "buildFinishedOn"),
    ("metadata", "scanFinishedOn"),
)
"""The paths at which other predicate types hold the time of the statement."""


@dataclass(frozen=True)
class Statement:
    """A statement of type `predicate_type` about the images in `subjects` (manifest digests)."""

    predicate_type: str
    subjects: frozenset[ManifestDigest]
    predicate: Mapping[str, Any]

    @property
    def time(self) -> datetime | None:
        """The time that the statement claims for itself; None if it has none with a time zone."""
        if self.predicate_type == TEST_RESULT:
            notes = notes_of(_tested(self.predicate))
            return moment(notes.get("attested") or notes.get("finished"))
        return next((t for path in _TIMES if (t := moment(at(self.predicate, path)))), None)


@dataclass(frozen=True)
class TestResult:
    """The parts of a test-result statement that relman uses.

    `result` is PASSED, WARNED or FAILED; `run`, `started` and `finished` are empty in statements of other tools.
    `passed`, `failed` and `flaky` are names; `tests` counts passed tests, named or not. `services` maps each linked
    service to its image; `beside` each command that ran in another image to that image. `clean` is None where the
    statement does not say whether the checkout had uncommitted changes. `judged_by` is SMOKE_ONLY if only the start of
    the image was tested, EXIT_CODE_ONLY if only exit codes were checked, else "".
    """

    __test__ = False

    result: str
    config: ConfigDigest
    passed: tuple[str, ...]
    failed: tuple[str, ...]
    flaky: tuple[str, ...] = ()
    tests: int = 0
    failures: int = 0
    commit: str = ""
    branch: str = ""
    clean: bool | None = None
    run: str = ""
    started: str = ""
    finished: str = ""
    services: Mapping[str, str] = field(default_factory=dict)
    judged_by: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> datetime | None:
        """When the tests ended; None if the time is missing or has no time zone."""
        return moment(self.finished)

    @property
    def fault(self) -> str:
        """Why this is not a pass; "" if it is one."""
        if self.result != "PASSED":
            return f"its result is {self.result[:20] or 'missing'}{some(self.failed)}"
        if self.failed or self.failures:
            return f"it calls itself PASSED, and {max(self.failures, len(self.failed))} failed{some(self.failed)}"
        return "" if self.passed else "the statement names no test that passed"


def some(names: tuple[str, ...]) -> str:
    """The first three names after a colon; "" for none."""
    return f": {', '.join(names[:3])}{', …' if len(names) > 3 else ''}" if names else ""


def read_statement(payload: bytes) -> Statement:
    """Read a Statement. Raises PolicyRefused (rule statement-readable) unless the bytes are exactly one."""
    try:
        document = load_object(payload, limit=MAX_STATEMENT)
    except ValueError as error:
        raise RuleName.READABLE.refuses(f"the statement cannot be read: {error}") from error
    predicate_type, predicate = document.get("predicateType"), document.get("predicate")
    if document.get("_type") not in STATEMENT_TYPES or not isinstance(predicate_type, str):
        raise RuleName.READABLE.refuses("the statement is not an in-toto Statement v1")
    if not isinstance(predicate, dict):
        raise RuleName.READABLE.refuses("the statement has no predicate")
    return Statement(predicate_type, _subjects(document.get("subject")), predicate)


def read_test_result(statement: Statement) -> TestResult:
    """Read a test-result statement. Raises PolicyRefused (rule statement-readable) for any other, and for one that
    names no image configuration."""
    if statement.predicate_type != TEST_RESULT:
        raise RuleName.READABLE.refuses(f"the statement is a {statement.predicate_type[:100]}, not a test result")
    described = _descriptors(statement.predicate)
    tested, source = _tested(statement.predicate), described.get(SOURCE, {})
    notes, origin = notes_of(tested), notes_of(source)
    try:
        config = ConfigDigest(f"sha256:{digests(tested).get('sha256')}")
    except UsageError as error:
        raise RuleName.READABLE.refuses("the statement does not say which image configuration was tested") from error
    passed, failed = names(statement.predicate, "passedTests"), names(statement.predicate, "failedTests")
    # Totals of result files, where there are any, count instead of commands.
    totals = mapping(notes.get("tests"))
    alone = _judged_by(notes, totals)
    failures = count(totals, "failed", 0)
    return TestResult(
        result=str(statement.predicate.get("result", "")),
        config=config,
        passed=passed,
        failed=failed,
        flaky=names(statement.predicate, "warnedTests"),
        tests=_passes(totals, passed, alone),
        failures=max(failures, len(failed)),
        commit=str(digests(source).get("gitCommit", "")),
        branch=str(origin.get("branch", "")),
        clean=not origin["dirty"] if isinstance(origin.get("dirty"), bool) else None,
        run=str(notes.get("run", "")),
        started=str(notes.get("started", "")),
        finished=str(notes.get("finished", "")),
        services=_uris(described, "service/"),
        judged_by=alone,
        beside=_uris(described, "test/"),
    )


def _passes(totals: Mapping[str, Any], commands: tuple[str, ...], alone: str) -> int:
    """The number of passed tests: from the result files' totals, else one for each command; a smoke test counts as
    none."""
    if not totals:
        return 0 if alone == SMOKE_ONLY else len(commands)
    run, failed, skipped = (count(totals, key, 0) for key in ("tests", "failed", "skipped"))
    return max(run - failed - skipped, 0)


def _uris(described: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, str]:
    """The URIs of the descriptors whose names begin with `kind`, by the rest of the name."""
    return {name.removeprefix(kind): str(d.get("uri", "")) for name, d in described.items() if name.startswith(kind)}


def _judged_by(notes: Mapping[str, Any], totals: Mapping[str, Any]) -> str:
    """What alone was checked. Statements from before `judgedBy` existed have commands and no totals."""
    said = "judgedBy" in notes or ("commands" in notes and not totals)
    return SMOKE_ONLY if notes.get("judgedBy") == SMOKE_ONLY else EXIT_CODE_ONLY if said else ""


def _subjects(subjects: object) -> frozenset[ManifestDigest]:
    if not isinstance(subjects, list) or not subjects or not all(isinstance(s, dict) for s in subjects):
        raise RuleName.READABLE.refuses("the statement has no subject")
    found = [value for s in subjects if (value := digests(s).get("sha256")) is not None]
    try:
        return frozenset(ManifestDigest(f"sha256:{value}") for value in found)
    except UsageError as error:
        raise RuleName.READABLE.refuses("a subject of the statement has no sha256 digest") from error


def _descriptors(predicate: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    configuration = predicate.get("configuration")
    if not isinstance(configuration, list) or not all(isinstance(d, dict) for d in configuration):
        raise RuleName.READABLE.refuses("the statement's configuration is not a list of descriptors")
    called = [str(d.get("name")) for d in configuration]
    if called.count(IMAGE_CONFIG) > 1:
        raise RuleName.READABLE.refuses("the statement names several image configurations")
    return dict(zip(called, configuration, strict=True))


def _tested(predicate: Mapping[str, Any]) -> Mapping[str, Any]:
    """The descriptor of the image's configuration; empty if there is none."""
    configuration = predicate.get("configuration")
    descriptors = configuration if isinstance(configuration, list) else []
    return next((d for d in descriptors if isinstance(d, dict) and d.get("name") == IMAGE_CONFIG), {})
