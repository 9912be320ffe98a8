"""Write the result of an operation into the journals of its hosts, while their locks are held."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from relman.hosts.state_dir import journal
from relman.model.errors import RelmanError, Unreachable
from relman.model.formats.clock import timestamp
from relman.model.formats.mask import NOTHING, Mask
from relman.model.plan import Kind, Observed, Outcome, Result
from relman.model.state_dir.journal import (
    LONGEST_REASON,
    Failed,
    JournalLine,
    Resolved,
    Served,
    bounded,
    is_time,
    secrets_of,
    short,
    some_hosts,
)
from relman.model.state_dir.lock import Lock
from relman.model.state_dir.record import Deployed
from relman.rollout.conclusion import NO_HOST, Happened, conclude, in_a_word, silenced
from relman.rollout.fleet import Fleet, Session, Watcher
from relman.rollout.planning.planner import Asked

_UNTOUCHED = (Result.UNCHANGED, Result.NOT_REACHED, Result.STALE)


@dataclass
class Journal:
    """The journals of all hosts of one operation.

    `seen` are the hosts as observed under the locks, `found` the locks of dead holders that a recovery took over,
    `secrets` are masked in addition to the values of variables. A journal that cannot be written stops nothing; for a
    host that does not answer, the others' journals have the facts.
    """

    fleet: Fleet
    asked: Asked
    watcher: Watcher
    seen: Mapping[str, Observed] = field(default_factory=dict)
    found: Mapping[str, Lock] = field(default_factory=dict)
    secrets: Collection[str] = ()
    _ended: str = ""
    _locked: bool = True
    _written: dict[str, JournalLine] = field(default_factory=dict)
    _silent: dict[str, RelmanError] = field(default_factory=dict)

    def beside(self, happened: Happened) -> Mapping[str, Callable[[], str]]:
        """The functions that write each host's line early, valid if nothing else happens; each returns "" (no
        warning)."""
        lines = self._lines(happened)
        return {host: partial(self._early, self.fleet.sessions[host], line) for host, line in lines.items()}

    def close(self, happened: Happened) -> Happened:
        """Write the lines that are missing or have changed; the last line of an id counts. Returns what happened, with
        the hosts that did not answer."""
        while True:
            happened = silenced(happened, self._silent)
            lines = self._lines(happened)
            due = {h: line for h, line in lines.items() if h not in self._silent and line != self._written.get(h)}
            if not due:
                return replace(happened, told={h: line.failed for h, line in lines.items() if line.failed})
            self.fleet.each(partial(self._each, due), due)

    def released(self, happened: Happened, silent: Mapping[str, RelmanError]) -> Happened:
        """The same, after the locks were released: `silent` are the hosts that did not answer then, which the other
        journals note, if they have anything to note."""
        if self._written:
            self._locked = False
            self._silent |= {h: e for h, e in silent.items() if isinstance(e, Unreachable)}
            return self.close(happened)
        return silenced(happened, silent)

    def _lines(self, happened: Happened) -> dict[str, JournalLine]:
        self._ended = self._ended or timestamp()
        return lines_of(happened, self.asked, self.seen, self._ended, self.found, self.secrets)

    def _each(self, due: Mapping[str, JournalLine], session: Session) -> None:
        self._write(session, due[session.host.name])

    def _early(self, session: Session, line: JournalLine) -> str:
        self._write(session, line)
        return ""

    def _write(self, session: Session, line: JournalLine) -> None:
        host, asked = session.host.name, self.asked
        self._written[host] = line
        try:
            journal.append(session.connection, asked.environment, asked.service, line, locked=self._locked)
        except Unreachable as error:
            self._silent[host] = error
        except RelmanError as error:
            self.watcher.say(f"{host}: its journal could not be written: {error.what}")


def lines_of(
    happened: Happened,
    asked: Asked,
    seen: Mapping[str, Observed],
    ended: str,
    found: Mapping[str, Lock],
    secrets: Collection[str],
) -> dict[str, JournalLine]:
    """The line of every host; none if nothing was begun on any. Pure."""
    if not happened.tasks and all(o.result in _UNTOUCHED for o in happened.outcomes):
        return {}
    entries = {s.host: s.entry for s in happened.plan.steps}
    entries |= {host: lock.intent.entry for host, lock in found.items() if lock.intent}
    mask = secrets_of((*secrets, *_values(entries.values(), seen.values())))
    telling = _Telling(happened, asked, ended, entries, mask)
    removed = happened.plan.kind is Kind.REMOVE
    told = [o for o in happened.outcomes if o.host in seen and not (removed and o.result is Result.UNCHANGED)]
    return {o.host: telling.line(o, seen[o.host], found.get(o.host)) for o in told}


def _values(entries: Iterable[Deployed], seen: Iterable[Observed]) -> Iterable[str]:
    """The values of all variables that a container may have had."""
    for entry in (*entries, *(e for each in seen for e in each.record.entries)):
        yield from (value for run in entry.settings.every_run for value in run.env.values())


@dataclass(frozen=True)
class _Telling:
    happened: Happened
    asked: Asked
    ended: str
    entries: Mapping[str, Deployed]
    mask: Mask

    def line(self, outcome: Outcome, seen: Observed, found: Lock | None) -> JournalLine:
        asked, plan, before = self.asked, self.happened.plan, seen.record.serving
        entry = self.entries.get(outcome.host)
        meant = entry or (before if not plan.release or (before and before.release == plan.release) else None)
        return JournalLine(
            id=asked.id,
            kind=plan.kind,
            by=short(asked.by, NOTHING),
            at=asked.at,
            ended=self.ended,
            result=outcome.result,
            release=short(meant.release if meant else plan.release, NOTHING),
            manifest=str(meant.manifest) if meant else "",
            commit=short(meant.commit, NOTHING) if meant else "",
            reason=short(asked.reason, self.mask, LONGEST_REASON),
            detail=short(outcome.detail, self.mask),
            came_to=in_a_word(conclude(self.happened)),
            cause=short(_cause(self.happened), self.mask),
            serves=self._serves(outcome, entry, before),
            failed=self._failed(outcome),
            unknown=some_hosts(self.happened.of(Result.UNKNOWN)),
            left_out=some_hosts(a.host for a in plan.left_out),
            resolved=self._resolved(found),
            users=short(self.happened.users.text, NOTHING) if self.happened.users else "",
        )

    def _serves(self, outcome: Outcome, entry: Deployed | None, before: Deployed | None) -> Served | None:
        if outcome.result in (Result.REMOVED, Result.NOT_SERVING):
            return None
        if outcome.result is Result.CHANGED and entry:
            return served(entry, self.asked.by, self.asked.at)
        return served(before, before.by, before.at) if before else None

    def _failed(self, outcome: Outcome) -> Failed | None:
        error = self.happened.failures.get(outcome.host)
        if error:
            return bounded(Failed(error.what, error.symptoms or outcome.symptoms), self.mask)
        return bounded(Failed(outcome.detail, outcome.symptoms), self.mask) if outcome.symptoms else None

    def _resolved(self, found: Lock | None) -> Resolved | None:
        if found is None:
            return None
        return Resolved(short(found.deployment, NOTHING), short(found.owner, NOTHING), short(found.message, self.mask))


def served(entry: Deployed, by: str, at: str) -> Served:
    """What a line says of the release that serves: who put it there, and when."""
    id, release, commit, who = (short(text, NOTHING) for text in (entry.id, entry.release, entry.commit, by))
    return Served(id, release, str(entry.manifest), commit, who, at if is_time(at) else "")


def _cause(happened: Happened) -> str:
    """The first failure, and its host."""
    for host, error in happened.failures.items():
        at = error.host or host
        return error.what if at == NO_HOST else f"{at}: {error.what}"
    return ""
