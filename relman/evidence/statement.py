"""In-toto Statements v1 about test results (predicate test-result v0.1): making them, and reading strangers'. Pure."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from relman.model.errors import PolicyRefused, UsageError
from relman.model.image import ConfigDigest, ManifestDigest
from relman.model.run import Commit, TestReport
from relman.registry.strictjson import load_object

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
MAX_STATEMENT = 1 << 20
_IMAGE_CONFIG = "image-config"
_SOURCE = "source"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})$")


class Rule(StrEnum):
    """The rules by which evidence is refused; each refusal names its own."""

    READABLE = "statement-readable"
    PRESENT = "evidence-present"
    SUBJECT = "subject-is-this-image"
    CONFIG = "config-is-the-tested-one"
    PASSED = "tests-passed"

    def refuses(self, why: str) -> PolicyRefused:
        """The refusal by this rule."""
        return PolicyRefused(f"{why} (rule {self})")


@dataclass(frozen=True)
class Statement:
    """A statement of a `predicate_type` about the images in `subjects` (manifest digests)."""

    predicate_type: str
    subjects: frozenset[ManifestDigest]
    predicate: Mapping[str, Any]


@dataclass(frozen=True)
class TestResult:
    """What a test-result statement says, so far as relman decides by it or shows it. `result` is PASSED, WARNED or
    FAILED; `run` and `finished` are empty in statements of other makers."""

    __test__ = False

    result: str
    config: ConfigDigest
    passed: tuple[str, ...]
    failed: tuple[str, ...]
    commit: str = ""
    run: str = ""
    finished: str = ""


def statement_for(report: TestReport, manifest: ManifestDigest, *, name: str) -> bytes:
    """The Statement that `manifest`, found under `name` (registry/repository), was tested as `report` says. The same
    report always gives the same bytes."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": manifest.hex}}],
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": "PASSED" if report.passed else "FAILED",
            "configuration": _configuration(report),
            "passedTests": [c.title for c in report.commands if c.passed],
            "warnedTests": list(report.flaky),
            "failedTests": [c.title for c in report.commands if not c.passed],
        },
    }
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def read_statement(payload: bytes) -> Statement:
    """Read a Statement. Raises PolicyRefused (rule statement-readable) for bytes that are not exactly one."""
    try:
        document = load_object(payload, limit=MAX_STATEMENT)
    except ValueError as error:
        raise Rule.READABLE.refuses(f"the statement cannot be read: {error}") from error
    predicate_type, predicate = document.get("predicateType"), document.get("predicate")
    if document.get("_type") != STATEMENT_TYPE or not isinstance(predicate_type, str):
        raise Rule.READABLE.refuses("the statement is no in-toto Statement v1")
    if not isinstance(predicate, dict):
        raise Rule.READABLE.refuses("the statement has no predicate")
    return Statement(predicate_type, _subjects(document.get("subject")), predicate)


def read_test_result(statement: Statement) -> TestResult:
    """What a test-result statement says. Raises PolicyRefused (rule statement-readable) for any other, also for one
    that names no image configuration."""
    if statement.predicate_type != TEST_RESULT:
        raise Rule.READABLE.refuses(f"the statement is a {statement.predicate_type[:100]}, no test result")
    described = _descriptors(statement.predicate)
    tested = described.get(_IMAGE_CONFIG, {})
    notes = tested.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    try:
        config = ConfigDigest(f"sha256:{_digests(tested).get('sha256')}")
    except UsageError as error:
        raise Rule.READABLE.refuses("the statement does not say which image configuration was tested") from error
    return TestResult(
        result=str(statement.predicate.get("result", "")),
        config=config,
        passed=_names(statement.predicate, "passedTests"),
        failed=_names(statement.predicate, "failedTests"),
        commit=str(_digests(described.get(_SOURCE, {})).get("gitCommit", "")),
        run=str(notes.get("run", "")),
        finished=str(notes.get("finished", "")),
    )


def _configuration(report: TestReport) -> list[dict[str, Any]]:
    """In-toto ResourceDescriptors of all that the result depends on."""
    tested = {
        "name": _IMAGE_CONFIG,
        "digest": {"sha256": report.config.hex},
        "annotations": {
            "run": str(report.run),
            "service": report.service,
            "platform": str(report.platform),
            "started": report.started,
            "finished": report.finished,
            **({"tests": dataclasses.asdict(report.findings.totals)} if report.findings else {}),
            "commands": [
                {"argv": list(c.argv), "exitCode": c.exit_code, "seconds": round(c.seconds, 3)} for c in report.commands
            ],
        },
    }
    services = [_linked(alias, image) for alias, image in sorted(report.services.items())]
    return [tested, *_source(report.commit), *services]


def _source(commit: Commit) -> list[dict[str, Any]]:
    if not commit.revision:
        return []
    source = {"name": _SOURCE, "digest": {"gitCommit": commit.revision}}
    notes = {"annotations": {"branch": commit.branch, "dirty": commit.dirty}}
    return [source | notes | ({"uri": commit.url} if commit.url else {})]


def _linked(alias: str, image: str) -> dict[str, Any]:
    digest = _DIGEST.search(image)
    return {"name": f"service/{alias}", "uri": image} | ({"digest": {"sha256": digest[1]}} if digest else {})


def _subjects(subjects: object) -> frozenset[ManifestDigest]:
    if not isinstance(subjects, list) or not subjects or not all(isinstance(s, dict) for s in subjects):
        raise Rule.READABLE.refuses("the statement has no subject")
    digests = [value for s in subjects if (value := _digests(s).get("sha256")) is not None]
    try:
        return frozenset(ManifestDigest(f"sha256:{value}") for value in digests)
    except UsageError as error:
        raise Rule.READABLE.refuses("a subject of the statement has no sha256 digest") from error


def _descriptors(predicate: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    configuration = predicate.get("configuration")
    if not isinstance(configuration, list) or not all(isinstance(d, dict) for d in configuration):
        raise Rule.READABLE.refuses("the statement's configuration is no list of descriptors")
    names = [str(d.get("name")) for d in configuration]
    if names.count(_IMAGE_CONFIG) > 1:
        raise Rule.READABLE.refuses("the statement names several image configurations")
    return dict(zip(names, configuration, strict=True))


def _digests(descriptor: Mapping[str, Any]) -> dict[str, Any]:
    digests = descriptor.get("digest")
    return digests if isinstance(digests, dict) else {}


def _names(predicate: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = predicate.get(key, [])
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise Rule.READABLE.refuses(f"the statement's {key} is no list of names")
    return tuple(names)
