"""Combine the journals of an environment's hosts with the local history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from relman.app.context import Context, Events
from relman.app.environments import Request, one_or_all, open_environment
from relman.app.factories import ledger
from relman.ledger.entries import Entry, HostOutcome
from relman.model.errors import RelmanError, StorageFailed, Unknown
from relman.model.formats.text import some
from relman.model.host import Environment
from relman.model.state_dir.journal import DONE, JournalLine
from relman.rollout.fleet import Fleet
from relman.rollout.looking.history import Journals, Told, merged, read_journals

_HERE = "this machine's history"


@dataclass(frozen=True)
class Answers:
    """The journals of the hosts that answered, the deployments in them, and why the others could not be asked."""

    chosen: Environment
    journals: Mapping[str, Journals]
    told: Sequence[Told]
    unasked: Mapping[str, RelmanError]

    @property
    def services(self) -> set[str]:
        """The services that the hosts or the inventory know."""
        return {*self.chosen.services, *(name for journals in self.journals.values() for name in journals)}

    def entries(self) -> list[Entry]:
        """An entry for each deployment, newest first."""
        return [_entry(told, self.chosen.name) for told in self.told]

    def remarks(self) -> Iterator[str]:
        """Contradictions and unreadable lines in the journals."""
        for told in self.told:
            yield from told.contradictions
        for host, journals in self.journals.items():
            for service, lines in journals.items():
                if count := len(lines.passed_over):
                    what = "1 line" if count == 1 else f"{count} lines"
                    why = some(list(dict.fromkeys(lines.passed_over)), 3)
                    yield f"{host}: {what} of the journal of {service} skipped: {why}"

    def require_all(self) -> None:
        """Raise Unknown unless every host was asked."""
        if self.unasked:
            raise Unknown(
                f"no answer from {some(list(self.unasked))}: what only they recorded is missing here",
                details=[f"{host}: {error.what}" for host, error in self.unasked.items()],
                hint=next(iter(self.unasked.values())).hint,
            )


def ask(context: Context, request: Request) -> Answers:
    """Read the journals of all hosts of an environment, or of a part of it, in parallel."""
    chosen = open_environment(context, request)
    service = one_or_all(chosen.services, request.service)
    with Fleet(chosen, service or "") as fleet:
        found = read_journals(fleet, chosen, service)
    journals = {h.name: found.answers[h.name] for h in chosen.hosts if h.name in found.answers}
    unasked = {h.name: found.errors[h.name] for h in chosen.hosts if h.name in found.errors}
    return Answers(chosen, journals, merged(journals), unasked)


def say_remarks(events: Events, answers: Answers, more: Sequence[str] = ()) -> None:
    """Warn of the remarks."""
    for remark in (*answers.remarks(), *more):
        events.warn(remark)


def _entry(told: Told, environment: str) -> Entry:
    line = told.line
    return Entry(
        what=DONE[line.kind],
        at=line.ended,
        by=line.by,
        service=told.service,
        outcome=line.came_to,
        id=line.id,
        environment=environment,
        release=line.release,
        digest=line.manifest,
        reason=line.reason,
        began=line.at,
        commit=line.commit,
        cause=line.cause,
        resolved=_resolved(told),
        users=line.users,
        hosts=tuple(_outcomes(told)),
    )


def _resolved(told: Told) -> str:
    found = [line.resolved for line in told.hosts.values() if line.resolved]
    return f"{found[0].id} of {found[0].by}: {found[0].message}" if found else ""


def _outcomes(told: Told) -> Iterator[HostOutcome]:
    for host, line in told.hosts.items():
        yield HostOutcome(host, str(line.result), line.detail, line.failed)
    for host in _others(told, lambda line: line.unknown):
        yield HostOutcome(host, "unknown", "no answer then, and nothing in its journal now")
    for host in _others(told, lambda line: line.left_out):
        yield HostOutcome(host, "left out")


def _others(told: Told, names: Callable[[JournalLine], Sequence[str]]) -> Sequence[str]:
    """The hosts that other hosts name, and that have no line themselves."""
    return [h for h in dict.fromkeys(n for line in told.hosts.values() for n in names(line)) if h not in told.hosts]


def with_local(context: Context, answers: Answers, service: str | None, limit: int) -> tuple[list[Entry], list[str]]:
    """The entries, with those that no host has (tests, releases, broken locks), newest first; and the contradictions
    between this machine and the hosts."""
    hosts = answers.entries()
    try:
        here = list(_local(context, answers, service, limit))
    except StorageFailed as error:
        return hosts[:limit], [f"{_HERE} cannot be read: {error.what}"]
    by_id = {e.id: e for e in hosts}
    added = [e for e in here if e.id not in by_id]
    remarks = [r for e in here if e.id in by_id for r in contradictions(e, by_id[e.id])]
    return sorted([*hosts, *added], key=lambda e: e.at, reverse=True)[:limit], remarks


def _local(context: Context, answers: Answers, service: str | None, limit: int) -> Iterator[Entry]:
    known = ledger(context)
    yield from known.history(limit, answers.chosen.name, service)
    for name in sorted({service} if service else answers.services):
        yield from (e for e in known.history(limit, None, name) if not e.environment)


def contradictions(here: Entry, told: Entry) -> Iterator[str]:
    """Where the local history differs from the hosts' journals. Pure."""
    for name in ("what", "by", "service"):
        ours, theirs = getattr(here, name), getattr(told, name)
        if ours != theirs:
            yield f"{_HERE} differs on {here.id}: {name} {ours!r}, not {theirs!r}"


def local_deployment(context: Context, id: str) -> tuple[Entry | None, list[str]]:
    """The local history's entry of a deployment, and why it cannot be read, if so."""
    try:
        return ledger(context).deployment(id), []
    except StorageFailed as error:
        return None, [f"{_HERE} cannot be read: {error.what}"]


def joined(told: Entry | None, here: Entry | None) -> Entry | None:
    """One entry from both: each host's own line first, then the local history's for other hosts. Pure."""
    if told is None or here is None:
        return told or here
    known = {h.host for h in told.hosts}
    return replace(told, hosts=(*told.hosts, *(h for h in here.hosts if h.host not in known)))
