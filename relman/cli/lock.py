"""relman lock status|break -e ENV: who is at work on the hosts, and how to end that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from relman.cli import fleets
from relman.cli.compose import record_deployment, timestamp, who
from relman.cli.environments import open_environment, service_of
from relman.cli.options import environment_options, yes_option
from relman.cli.text import span
from relman.cli.verb import Context, verb
from relman.hosts.state_dir import lock as lock_file
from relman.ledger.entries import HostOutcome
from relman.model.errors import UsageError
from relman.model.record import FoundLock, Phase
from relman.rollout.fleet import Fleet, Session
from relman.rollout.planning.planner import Asked
from relman.rollout.state.lease import is_dead, this_machine
from relman.rollout.state.locks import break_locks


@verb("lock")
@click.argument("what", type=click.Choice(["status", "break"]))
@environment_options
@click.option("--reason", metavar="TEXT", help="Why the lock is broken; its holder and the history show it.")
@yes_option
def lock(
    context: Context,
    what: str,
    environment: str,
    inventories: Sequence[str],
    service: str | None,
    reason: str | None,
    yes: bool,
) -> None:
    """Show who is working on the hosts, or break their locks.

    `status` shows them, `break` takes the locks away from whoever that is.

    A lock runs out by itself a minute after its holder's last sign of life. Break one whose holder still lives but
    is stuck: end it first if you can, because what it is doing on a host at that moment it goes on doing.
    """
    if what == "break" and not reason:
        raise UsageError("lock break needs --reason", hint="say why: its holder sees it")
    chosen = open_environment(context, environment, inventories)
    asked = fleets.new_asked(service_of(chosen, service), chosen)
    with Fleet(chosen, asked.service) as fleet:
        fleet.require_all()
        fleets.require_known(fleet, asked)
        found = _read(fleet, asked)
        _show(context, found)
        if what == "break" and found:
            _break(context, fleet, asked, reason or "", yes)


def _read(fleet: Fleet, asked: Asked) -> Mapping[str, FoundLock]:
    def one(session: Session) -> FoundLock | None:
        now = session.now()
        return lock_file.read(session.connection, asked.environment, asked.service, now=now)

    return {host: found for host, found in fleet.each(one).all("looking at the locks").items() if found}


def _show(context: Context, found: Mapping[str, FoundLock]) -> None:
    rows = {host: _data(lock) for host, lock in found.items()}
    context.output.json("locks", {"hosts": [{"host": host} | row for host, row in rows.items()]})
    if not rows:
        context.output.line("no host is locked")
        return
    cells = [(h, r["owner"], r["state"], f"{span(r['age'])} ago", r["message"]) for h, r in rows.items()]
    context.output.table(
        ("HOST", "OWNER", "STATE", "LAST SEEN", "DOING"), cells, ("OWNER", "STATE", "LAST SEEN", "DOING")
    )


def _data(found: FoundLock) -> dict[str, Any]:
    held = found.lock
    middle = held is not None and held.phase is not Phase.HELD
    state = ("interrupted" if middle else "dead") if is_dead(found, this_machine()) else "at work"
    return {
        "owner": held.owner if held else "",
        "deployment": held.deployment if held else "",
        "message": held.message if held else "",
        "phase": str(held.phase) if held else "",
        "state": state,
        "age": round(found.age, 1),
    }


def _break(context: Context, fleet: Fleet, asked: Asked, reason: str, yes: bool) -> None:
    if not (yes or context.output.confirm(f"break the locks of {asked.service} in {asked.environment}?")):
        context.output.note("nothing was changed")
        return
    started = timestamp()
    broken = break_locks(fleet, asked, reason, fleets.Screen(context.output))
    record_deployment(
        context,
        id=asked.id,
        kind="lock broken",
        service=asked.service,
        environment=asked.environment,
        release="",
        digest="",
        by=who(),
        started=started,
        finished=timestamp(),
        outcome="done",
        hosts=[HostOutcome(h, "lock broken", lock.lock.message if lock.lock else "") for h, lock in broken.items()],
        reason=reason,
    )
    context.output.line(f"broken on {', '.join(broken) or 'no host: they were released meanwhile'}")
    if any(f.lock and f.lock.phase is not Phase.HELD for f in broken.values()):
        context.output.line(f"a deployment was interrupted: relman recover {asked.place}")
