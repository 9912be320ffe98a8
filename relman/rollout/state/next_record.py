"""The record of a host after a step."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from relman.hosts.state_dir import record
from relman.model.errors import RelmanError
from relman.model.plan import Kind, Observed, Plan, Step
from relman.model.state_dir.record import HostRecord, Unit
from relman.rollout.fleet import Session


def remembered(plan: Plan, step: Step, units: tuple[Unit, ...], before: HostRecord, *, proven: bool) -> HostRecord:
    """The record after `step`, whose new containers are `units`. Pure."""
    written = _after(plan, step, units, before, proven=proven)
    return keep(written, plan.keep) if proven and plan.kind is Kind.DEPLOY else written


def _after(plan: Plan, step: Step, units: tuple[Unit, ...], before: HostRecord, *, proven: bool) -> HostRecord:
    entry = replace(step.entry.placed(units), proven=proven)
    if plan.kind is Kind.RESTART:  # no other release: its proof and the way back stay as they were
        others = tuple(e for e in before.entries if e.id != before.current)
        return replace(before, entries=others).deployed(replace(entry, proven=proven or step.entry.proven))
    before = replace(before, left_out=plan.left_out)
    if plan.kind is Kind.ROLLBACK:
        return before.returned(replace(entry, proven=True))
    return before.deployed(entry)


def keep(written: HostRecord, count: int) -> HostRecord:
    """The serving entry and the newest `count` other proven ones, in their order. Pure."""
    others = [e.id for e in written.entries if e.proven and e.id != written.current]
    kept = {*others[-count:], written.current} if count else {written.current}
    return replace(written, entries=tuple(e for e in written.entries if e.id in kept))


def draft(session: Session, plan: Plan, step: Step, units: tuple[Unit, ...], seen: Observed) -> None:
    """Draft the record as it will be on success. Errors are left to the actual write."""
    with contextlib.suppress(RelmanError):
        written = remembered(plan, step, units, seen.record, proven=True)
        session.draft = record.draft(session.connection, written)
