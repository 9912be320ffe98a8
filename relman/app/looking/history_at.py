"""What ran where at a time: relman history -e ENV --at TIME."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from relman.app.context import Context
from relman.app.environments import repository_of
from relman.app.factories import registry_of
from relman.app.looking.journals import Answers
from relman.app.policy import check_of
from relman.app.signing import reading_seal
from relman.model.errors import RelmanError, UsageError
from relman.model.formats.clock import rfc3339
from relman.model.image import ManifestDigest
from relman.model.policy import Demands
from relman.model.state_dir.journal import DONE, Served
from relman.registry.client import Registry
from relman.rollout.looking.history import RanAt, ran_at


@dataclass(frozen=True)
class RanThen:
    """What a host ran then: `by` put it there at `since`, in the way that `how` says; `why` is said where nothing ran
    or that is not known. `tests` is what the registry says of the image now."""

    host: str
    service: str
    release: str = ""
    digest: str = ""
    commit: str = ""
    since: str = ""
    how: str = ""
    by: str = ""
    id: str = ""
    why: str = ""
    under_way: str = ""
    tests: str = ""


def time_of(text: str) -> str:
    """Parse a time, in UTC if it has no offset, to RFC 3339 in UTC, to the second. Raises UsageError."""
    return rfc3339(moment_of(text))


def moment_of(text: str) -> datetime:
    """Parse a time, in UTC if it has no offset. Raises UsageError."""
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        hint = "for example 2026-01-31T12:00:00Z; 2026-01-31 12:00 and 2026-01-31 are in UTC"
        raise UsageError(f"{text!r} is not a time", hint=hint) from None
    try:
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{text!r} is not a date of the calendar") from None


def ran_then(context: Context, answers: Answers, service: str | None, time: str) -> list[RanThen]:
    """What every host that answered ran at `time` (from `time_of`), by the journals."""
    rows = [_row(host, name, ran) for host, name, ran in _ran(answers, service, time)]
    return list(_with_tests(context, answers, rows))


def _ran(answers: Answers, service: str | None, time: str) -> Iterator[tuple[str, str, RanAt]]:
    for host, journals in answers.journals.items():
        for name, lines in journals.items():
            if lines.lines or name == service or name in answers.chosen.services:
                yield host, name, ran_at(lines.lines, time)


def _row(host: str, service: str, ran: RanAt) -> RanThen:
    served, line = ran.serves or Served("", "", "", "", "", ""), ran.line
    return RanThen(
        host=host,
        service=service,
        release=served.release,
        digest=served.manifest,
        commit=served.commit,
        since=ran.since,
        how=DONE[line.kind] if line else "",
        by=line.by if line else served.by,
        id=line.id if line else served.id,
        why=ran.why,
        under_way=ran.under_way,
    )


def _with_tests(context: Context, answers: Answers, rows: Sequence[RanThen]) -> Iterator[RanThen]:
    """The rows with the evidence for each image, which is requested once."""
    images = dict.fromkeys((row.service, row.digest, row.release) for row in rows if row.digest)
    said: Mapping[tuple[str, str, str], str] = {image: _tests(context, answers, *image) for image in images}
    for row in rows:
        yield replace(row, tests=said.get((row.service, row.digest, row.release), ""))


def _tests(context: Context, answers: Answers, service: str, digest: str, release: str) -> str:
    try:
        repository = repository_of(answers.chosen, service)
    except UsageError:
        return "the inventory names no registry for it"
    try:
        with registry_of(context, repository, answers.chosen) as registry:
            return _evidence(registry, answers, service, ManifestDigest(digest), release)
    except RelmanError as error:
        return f"not known: {error.what}"


def _evidence(registry: Registry, answers: Answers, service: str, digest: ManifestDigest, release: str) -> str:
    from relman.evidence.release import examine

    demands = answers.chosen.demands
    check = check_of(Demands(demands.trust), reading_seal(demands))
    examined = examine(registry, repository_of(answers.chosen, service), digest, called=release, check=check)
    result = examined.facts.result
    if result is None:
        return "no valid evidence"
    passed = "failed" if result.fault else "passed"
    return f"{passed} in {result.run}" if result.run else passed
