"""The command to type next for each thing that can be wrong with a fleet. Pure.

Every advice resolves what it is for: none leads to a command whose own hint leads back.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from relman.rollout.looking.condition import Condition
from relman.rollout.looking.status import HostStatus

Rows = Sequence[HostStatus]


@dataclass(frozen=True)
class CommandScope:
    """How a command names its target: the environment, its hosts, those of them that do not answer, its services, and
    the inventories that were given."""

    environment: str
    services: frozenset[str]
    hosts: frozenset[str]
    silent: tuple[str, ...] = ()
    inventories: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """Whether the environment has several services."""
        return len(self.services) > 1

    def of(self, service: str) -> str:
        """The options of a command about this service."""
        named = [] if self.services == {service} else ["--service", service]
        return shlex.join([*self._place, *named])

    def hosts_of(self, rows: Rows) -> str:
        """The options of a command about the hosts of these rows, and no service."""
        hosts = dict.fromkeys(r.host for r in rows)
        return shlex.join([*self._place, *(w for host in hosts for w in ("--only", host))])

    @property
    def _place(self) -> list[str]:
        return ["-e", self.environment, *(w for i in self.inventories for w in ("-i", i))]

    def all_of(self, service: str) -> str:
        """The options of a command that changes every host that answers."""
        left_out = " ".join(f"--exclude {shlex.quote(host)}" for host in self.silent)
        return self.of(service) + (f" {left_out} --reason 'no answer'" if left_out else "")

    def only(self, service: str, rows: Rows) -> str:
        """The options of a command that changes the hosts of these rows."""
        hosts = {r.host: None for r in rows}
        if hosts.keys() | set(self.silent) == self.hosts:
            return self.all_of(service)
        return " ".join([self.of(service), *(f"--only {shlex.quote(host)}" for host in hosts)])


def recover(service: str, place: CommandScope) -> str:
    """The command that finishes or undoes an interrupted deployment."""
    return f"relman recover {place.all_of(service)}"


def one_release(rows: Rows, place: CommandScope) -> str:
    """The command that makes the fleet run one release: the newest if it was proven good, else the previous one."""
    newest = max(rows, key=lambda r: r.deployed_at)
    if not newest.proven and newest.rollback:
        return f"relman rollback {place.all_of(newest.service)}"
    return _deploy(newest, place.all_of(newest.service))


def way_out(state: Condition, rows: Rows, of_it: Rows, place: CommandScope) -> str:
    """The command that makes these `rows`, of one service and in one state, serve well again; `of_it` are all rows of
    the service that answered."""
    if state is Condition.PAUSED:
        return _there(rows, "docker unpause {0}")
    if state is Condition.STOPPED:
        return _start(rows)
    if state is Condition.UNPROXIED:
        return f"relman proxy apply {place.hosts_of(rows)}"
    if state is Condition.UNROUTED:
        return f"relman restart {place.only(rows[0].service, rows)}"
    if state is Condition.UNASKED:
        return "correct that, or build the next release with health: {image: true} or health: {command: [...]}"
    if state in (Condition.ABSENT, Condition.GONE, Condition.DRIFTED, Condition.DOUBLED):
        return _put_there(rows, of_it, place)
    return _sick(state, rows, of_it, place)


def _put_there(rows: Rows, of_it: Rows, place: CommandScope) -> str:
    """Deploy what these hosts should run by their records, else what the others run."""
    service = rows[0].service
    recorded = [r for r in rows if r.recorded_release] or [r for r in of_it if r.recorded_release]
    known = recorded or [r for r in rows if r.release]
    if not known:
        return f"relman deploy TAG {place.all_of(service)} (relman releases {place.of(service)} lists them)"
    return _deploy(max(known, key=lambda r: r.deployed_at), place.only(service, rows))


def _deploy(row: HostStatus, where: str) -> str:
    return f"relman deploy {shlex.quote(row.recorded_release or row.release)} {where}{_gates(row)}"


def _gates(row: HostStatus) -> str:
    """The options that skip the gates which a person skipped for it before (relman.model.policy.Skip)."""
    if not row.skipped:
        return ""
    gates = dict.fromkeys(skip.partition(" skipped by ")[0] for skip in row.skipped)
    reason = row.skipped[-1].partition("Z: ")[2] or "as before"
    return "".join(f" --unsafe-skip-gate {shlex.quote(g)}" for g in gates) + f" --reason {shlex.quote(reason)}"


def _start(rows: Rows) -> str:
    """Start the containers, after stopping another one that holds their port."""
    free = [_there([r for r in rows if not r.port_holder], "docker start {0}")]
    taken = [
        _there([r], f"docker stop {shlex.quote(r.port_holder)} && docker start {{0}}") for r in rows if r.port_holder
    ]
    return "; ".join(filter(None, [*free, *taken]))


def _sick(state: Condition, rows: Rows, of_it: Rows, place: CommandScope) -> str:
    """Restart a release that works on other hosts; roll back one that works on none."""
    service = rows[0].service
    well = {r.manifest for r in of_it if r.state is Condition.WELL}
    if all(r.manifest in well for r in rows):
        return _there(rows, "docker start {0}" if state is Condition.ENDED else "docker restart {0}")
    if any(r.rollback for r in rows):
        return f"relman rollback {place.all_of(service)}"
    return (
        f"relman logs {place.of(service)} shows why; then a better release: relman deploy TAG {place.all_of(service)}"
    )


def _there(rows: Rows, command: str) -> str:
    """A command on each host, for the container there."""
    hosts: dict[str, list[str]] = {}
    for row in rows:
        hosts.setdefault(command.format(shlex.join(row.containers)), []).append(row.host)
    return "; ".join(f"on {', '.join(names)}: {text}" for text, names in hosts.items())
