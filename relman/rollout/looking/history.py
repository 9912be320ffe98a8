"""Merge the journals of all hosts: each deployment once, and what ran where at any time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from relman.hosts.state_dir import journal, record
from relman.model.errors import RelmanError
from relman.model.host import Environment
from relman.model.plan import Kind, Result
from relman.model.state_dir.journal import DONE, JournalLine, JournalLines, Served
from relman.model.state_dir.record import Deployed
from relman.rollout.fleet import Fleet, Gathered, Session

Journals = Mapping[str, JournalLines]  # of one host, by service


@dataclass(frozen=True)
class Told:
    """One deployment. `line` is what most hosts recorded, `hosts` each host's own line, in the inventory's order;
    `contradictions` are the differences."""

    service: str
    line: JournalLine
    hosts: Mapping[str, JournalLine]
    contradictions: tuple[str, ...] = ()


def read_journals(fleet: Fleet, chosen: Environment, service: str | None) -> Gathered[Journals]:
    """The journals of every host that answers, for one service or for all that the inventory or the host has."""

    def one(session: Session) -> Journals:
        known = [service] if service else {*chosen.services, *record.services(session.connection, chosen.name)}
        return {name: journal.read(session.connection, chosen.name, name) for name in sorted(known)}

    return fleet.ask(one)


def last_told(session: Session, environment: str, service: str) -> Sequence[JournalLine]:
    """The newest lines of one host's journal; empty if it cannot be read."""
    try:
        return journal.read_last(session.connection, environment, service).lines
    except RelmanError:
        return ()


def put_there(entry: Deployed, lines: Sequence[JournalLine]) -> tuple[str, str]:
    """Who deployed the release that serves, and how (deployed, rolled back, recovered). Pure."""
    for line in reversed(lines):
        if line.result is Result.CHANGED and line.serves and line.serves.id == entry.id:
            return line.by, DONE[line.kind]
    return entry.by, DONE[Kind.DEPLOY]


def merged(by_host: Mapping[str, Journals]) -> list[Told]:
    """Every deployment in any journal, newest first. Pure."""
    found: dict[tuple[str, str], dict[str, JournalLine]] = {}
    for host, journals in by_host.items():
        for service, lines in journals.items():
            for line in lines.lines:
                found.setdefault((service, line.id), {})[host] = line
    told = [_told(service, hosts) for (service, _), hosts in found.items()]
    return sorted(told, key=lambda t: (t.line.ended, t.line.id), reverse=True)


def _told(service: str, hosts: Mapping[str, JournalLine]) -> Told:
    usual = Counter(map(_facts, hosts.values())).most_common(1)[0][0]
    telling = [line for line in hosts.values() if _facts(line) == usual]
    last = max(telling, key=lambda line: (line.ended, len(line.unknown)))
    return Told(service, last, hosts, tuple(_contradictions(last, hosts)))


def _contradictions(usual: JournalLine, hosts: Mapping[str, JournalLine]) -> Iterator[str]:
    for host, line in hosts.items():
        for name, fact in _FACTS.items():
            if fact(line) != fact(usual):
                yield f"{host} differs on {usual.id}: {name} {fact(line)!r}, not {fact(usual)!r}"


def _facts(line: JournalLine) -> tuple[str, ...]:
    return tuple(fact(line) for fact in _FACTS.values())


def _release(line: JournalLine) -> str:
    """A removal and a recovery may concern a different release on each host."""
    return line.release if line.kind in (Kind.DEPLOY, Kind.ROLLBACK) else ""


_FACTS: Mapping[str, Callable[[JournalLine], str]] = {
    "kind": lambda line: str(line.kind),
    "by": lambda line: line.by,
    "release": _release,
    "reason": lambda line: line.reason,
    "began": lambda line: line.at,
}


@dataclass(frozen=True)
class RanAt:
    """What one host ran at a time: `serves`, since when, and the `line` that started it. `serves` is None if nothing
    ran or it is not known: `why` says which. `under_way` is a deployment that was in progress."""

    serves: Served | None = None
    since: str = ""
    line: JournalLine | None = None
    why: str = ""
    under_way: str = ""


def ran_at(lines: Sequence[JournalLine], time: str) -> RanAt:
    """What a host ran at `time` (RFC 3339 in UTC, in the form of lines), by its journal. Pure."""
    ran = RanAt(why="its journal does not go back that far")
    lines = [line for line in lines if line.kind is not Kind.EXEC]
    for line in sorted(lines, key=lambda each: each.ended):
        if line.ended <= time:
            ran = _after(ran, line)
    going = next((line.id for line in lines if line.at <= time < line.ended), "")
    return replace(ran, under_way=going)


def _after(ran: RanAt, line: JournalLine) -> RanAt:
    if not line.sure:
        return RanAt(line=line, why=f"not known after {line.id}: {line.result}")
    if line.serves is None:
        nothing = "nothing ran" if line.result is Result.NOT_SERVING else "it was not there"
        return RanAt(since=line.ended, line=line, why=nothing)
    if ran.serves and ran.serves.id == line.serves.id:
        return ran
    if line.result is Result.CHANGED:
        return RanAt(line.serves, line.ended, line)
    return RanAt(line.serves, line.serves.at)  # deployed before the journal's first line
