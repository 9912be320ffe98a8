"""What runs in every environment of an inventory: a cell for each service and environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

from relman.app.context import Context
from relman.app.environments import Request, Selected, one_or_all
from relman.app.factories import every_environment
from relman.app.looking.status import Status, joined, judged, rows_of, scope
from relman.model.errors import RelmanError, UsageError
from relman.model.host import Environment, Host
from relman.rollout.fleet import Fleet, Gathered, Session
from relman.rollout.looking.condition import Condition
from relman.rollout.looking.status import HostStatus
from relman.rollout.looking.verdict import GRAVEST, WORDS, Finding, findings

Rows = list[HostStatus]
_Way = tuple[object, ...]
_Answers = Mapping[str, Rows | RelmanError]


@dataclass(frozen=True)
class Cell:
    """A service in an environment: the releases of its hosts, a word, and the gravest finding, if anything is wrong."""

    service: str
    environment: str
    releases: tuple[str, ...]
    word: str
    finding: Finding | None = None


@dataclass(frozen=True)
class StatusMatrix:
    """All environments, in the inventory's order, with what is wrong in each, and a cell for each service that an
    environment has."""

    environments: Mapping[str, Status]
    cells: Sequence[Cell]

    @property
    def services(self) -> Sequence[str]:
        """The services, sorted."""
        return sorted({cell.service for cell in self.cells})

    @property
    def findings(self) -> Sequence[Finding]:
        """What is wrong anywhere, the gravest first; each names its environment."""
        found = [finding for status in self.environments.values() for finding in status.findings]
        return sorted(found, key=lambda each: GRAVEST.index(each.kind))

    def verdict(self, max_unhealthy: str | None = None) -> Finding | None:
        """The gravest finding, where up to `max_unhealthy` (N or N%) unknown or unhealthy hosts of each environment are
        tolerated."""
        found = [status.verdict(max_unhealthy) for status in self.environments.values()]
        return min(filter(None, found), key=lambda each: GRAVEST.index(each.kind), default=None)


def status_matrix(context: Context, request: Request) -> StatusMatrix:
    """Observe the hosts of all environments in parallel; one that is in several environments, reached the same way, is
    connected to once. Of the request, inventories and service count.

    Raises ConfigError, and UsageError if no environment has the service.
    """
    chosen = every_environment(context, request.inventories)
    named = {name for each in chosen for name in each.services}
    service = one_or_all(named, request.service)
    told = _ask_all(chosen, service)
    rows = {each.name: joined(each, service, _answers_of(each, told)) for each in chosen}
    return arranged(chosen, rows, service, request.inventories)


def arranged(
    environments: Sequence[Environment], rows: Mapping[str, Rows], service: str | None, inventories: Sequence[str]
) -> StatusMatrix:
    """The rows of each environment as a matrix; with a service, of the environments that have it. Raises UsageError if
    there is none. Pure."""
    statuses: dict[str, Status] = {}
    cells: list[Cell] = []
    known: set[str] = set()
    for each in environments:
        here = {*each.services, *(row.service for row in rows[each.name] if not row.unreachable)}
        known |= here
        shown = sorted(here if service is None else here & {service})
        if shown:
            status = judged(rows[each.name], Selected(each, each), inventories)
            statuses[each.name] = replace(status, findings=[_placed(f, each.name) for f in status.findings])
            cells += [_cell(each, name, rows[each.name], inventories) for name in shown]
    if not cells:
        hint = f"known there: {', '.join(sorted(known)) or 'none'}"
        raise UsageError(f"no environment knows the service {service!r}", hint=hint)
    return StatusMatrix(statuses, cells)


def _placed(finding: Finding, environment: str) -> Finding:
    """The finding with the environment's name, unless its sentence has that."""
    return finding if finding.names_environment else replace(finding, what=f"{environment}: {finding.what}")


def _cell(chosen: Environment, service: str, rows: Rows, inventories: Sequence[str]) -> Cell:
    """The cell of a service; a host that does not answer counts for all of them."""
    own = [row for row in rows if row.service in ("", service)]
    gravest = next(iter(findings(own, scope(chosen, rows, inventories))), None)
    releases = tuple(dict.fromkeys(row.release for row in own if row.release))
    if gravest is None:
        said = "under way" if any(row.under_way for row in own) else "serves"
    elif all(row.state is Condition.ABSENT for row in own):
        said = "not deployed"
    else:
        said = WORDS[gravest.kind]
    return Cell(service, chosen.name, releases, said, gravest)


def _ask_all(environments: Sequence[Environment], service: str | None) -> dict[_Way, _Answers | RelmanError]:
    """What each host, by the way to it, says of every environment that it is in."""
    sharing: dict[_Way, list[Environment]] = {}
    for each in environments:
        for host in each.hosts:
            sharing.setdefault(_way(host, each), []).append(each)
    with ExitStack() as stack:
        fleets = [stack.enter_context(Fleet(own, "")) for own in _each_host_once(environments, sharing)]
        pool = ThreadPoolExecutor(len(fleets))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        found = pool.map(lambda fleet: _ask(fleet, sharing, service), fleets)
        return {way: answers for told in found for way, answers in told.items()}


def _each_host_once(
    environments: Sequence[Environment], sharing: Mapping[_Way, Sequence[Environment]]
) -> Iterator[Environment]:
    """The environments, each with those of its hosts that are in no environment before it."""
    for each in environments:
        own = tuple(host for host in each.hosts if sharing[_way(host, each)][0] is each)
        if own:
            yield replace(each, hosts=own)


def _ask(
    fleet: Fleet, sharing: Mapping[_Way, Sequence[Environment]], service: str | None
) -> dict[_Way, _Answers | RelmanError]:
    ways = {host.name: _way(host, fleet.environment) for host in fleet.environment.hosts}
    found = fleet.ask(lambda s: {each.name: _told(s, each, service) for each in sharing[ways[s.host.name]]})
    return {way: found.errors.get(name) or found.answers[name] for name, way in ways.items()}


def _told(session: Session, chosen: Environment, service: str | None) -> Rows | RelmanError:
    """The rows of one host in one environment, or why there are none: another environment may have some."""
    try:
        return rows_of(replace(session, repositories=chosen.services), chosen, service)
    except RelmanError as error:
        return error


def _answers_of(chosen: Environment, told: Mapping[_Way, _Answers | RelmanError]) -> Gathered[Rows]:
    answers: dict[str, Rows] = {}
    errors: dict[str, RelmanError] = {}
    for host in chosen.hosts:
        said = told[_way(host, chosen)]
        mine = said if isinstance(said, RelmanError) else said[chosen.name]
        if isinstance(mine, RelmanError):
            errors[host.name] = mine
        else:
            answers[host.name] = mine
    return Gathered(answers, errors)


def _way(host: Host, chosen: Environment) -> _Way:
    """How a host is reached, and where its engine and relman's files are."""
    return (
        host.name,
        host.endpoint,
        host.jumps,
        host.state_dir,
        host.docker_socket,
        host.docker_command,
        chosen.ssh,
    )
