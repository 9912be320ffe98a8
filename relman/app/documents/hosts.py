"""What hosts show: what runs there, who is at work, what a removal takes away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relman.model.state_dir.lock import FoundLock, Phase
from relman.rollout.state.lease import is_dead, this_machine

if TYPE_CHECKING:
    from relman.app.looking.matrix import StatusMatrix
    from relman.app.looking.status import Status
    from relman.app.looking.verify_running import Verification
    from relman.model.proxy import Certificate
    from relman.rollout.proxy.apply import Applied
    from relman.rollout.proxy.status import ProxyStatus
    from relman.rollout.remove import Removal


def status_document(environment: str, found: Status) -> dict[str, Any]:
    """A row for each host and service, and the hosts that left the inventory; `container` is the first of
    `containers`."""
    hosts = [{**asdict(row), "container": next(iter(row.containers), "")} for row in found.rows]
    for row in hosts:
        del row["peers"]
    return {"environment": environment, "hosts": hosts, "departed": [asdict(each) for each in found.departed]}


def matrix_document(found: StatusMatrix) -> dict[str, Any]:
    """A row for each service and environment that has it, and the hosts that left the inventory."""
    cells = [
        {
            "service": cell.service,
            "environment": cell.environment,
            "releases": list(cell.releases),
            "verdict": cell.word,
            "what": cell.finding.what if cell.finding else "",
            "way_out": cell.finding.way_out if cell.finding else "",
        }
        for cell in found.cells
    ]
    departed = [
        {"environment": name, **asdict(each)} for name, status in found.environments.items() for each in status.departed
    ]
    return {"environments": list(found.environments), "cells": cells, "departed": departed}


def verification_document(found: Verification) -> dict[str, Any]:
    """What every host runs, against its evidence."""
    return {"environment": found.environment, "service": found.service, "hosts": [asdict(row) for row in found.rows]}


def removal_document(service: str, environment: str, rows: Sequence[Removal]) -> dict[str, Any]:
    """What every host loses."""
    return {"service": service, "environment": environment, "hosts": [asdict(row) for row in rows]}


def proxy_document(done: Mapping[str, Applied], issued: Sequence[Certificate] = ()) -> dict[str, Any]:
    """What became of the proxy of every host, and the certificates that were issued."""
    hosts = [{"host": host, **asdict(each)} for host, each in done.items()]
    return {"hosts": hosts, "certificates": [asdict(each) for each in issued]}


def proxies_document(environment: str, rows: Sequence[ProxyStatus]) -> dict[str, Any]:
    """The proxy of every host, and what it routes."""
    return {"environment": environment, "hosts": [asdict(row) | {"state": row.state} for row in rows]}


def locks_document(found: Mapping[str, FoundLock]) -> dict[str, Any]:
    """A row for each host that is locked."""
    return {"hosts": [{"host": host, **_lock(lock)} for host, lock in found.items()]}


def _lock(found: FoundLock) -> dict[str, Any]:
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
