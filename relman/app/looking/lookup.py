"""Find one deployment, playbook run or CI run by its id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relman.app.context import Context
from relman.app.environments import Request
from relman.app.factories import ledger
from relman.app.looking.journals import Answers, ask, contradictions, joined, local_deployment
from relman.app.playbooks.runs import PlaybookRun, playbook_runs
from relman.ci.results import report_store
from relman.ledger.entries import Entry
from relman.local.directories import data_directory
from relman.model.errors import UsageError
from relman.model.run import RunName, TestReport


@dataclass(frozen=True)
class RecordedRun:
    """What this machine knows of a CI run: its test results, and its entries in the history."""

    name: RunName
    reports: Sequence[TestReport]
    entries: Sequence[Entry]


@dataclass(frozen=True)
class ToldDeployment:
    """A deployment by its hosts' journals and the local history; `entry` is None if neither has it, `remarks` are
    contradictions."""

    id: str
    entry: Entry | None
    remarks: Sequence[str]
    answers: Answers

    def require(self) -> None:
        """Raise Unknown unless every host was asked, and UsageError if no host has the deployment."""
        self.answers.require_all()
        if self.entry is None:
            environment = self.answers.chosen.name
            raise UsageError(
                f"no host of {environment} has a deployment {self.id} in its journal",
                hint=f"relman history -e {environment} lists them",
            )


def look_up(context: Context, id: str) -> Entry | PlaybookRun | RecordedRun:
    """What this machine knows under an id: a deployment, a playbook run, or JOB/BUILD. Raises UsageError if it knows
    nothing."""
    if "/" in id:
        return _run(context, RunName.parse(id))
    found = ledger(context).deployment(id) or playbook_runs(context).get(id)
    if found is None:
        raise UsageError(
            f"no deployment {id} is recorded on this machine (in {data_directory(context.environ)})",
            hint="relman history lists them; a run is named JOB/BUILD.",
        )
    return found


def look_up_on_hosts(context: Context, id: str, request: Request) -> ToldDeployment:
    """A deployment by its hosts' journals, combined with the local history."""
    answers = ask(context, request)
    told = next((e for e in answers.entries() if e.id == id), None)
    here, remarks = local_deployment(context, id)
    if told and here:
        remarks += contradictions(here, told)
    remarks += [c for each in answers.told if each.line.id == id for c in each.contradictions]
    return ToldDeployment(id, joined(told, here), remarks, answers)


def _run(context: Context, run: RunName) -> RecordedRun:
    entries = ledger(context).of_run(str(run))
    reports = report_store.of_run(run, report_store.directory(context.environ))
    if not entries and not reports:
        raise UsageError(
            f"no run {run} is recorded on this machine (in {data_directory(context.environ)})",
            hint="relman history lists them; relman releases shows the runs of released images.",
        )
    return RecordedRun(run, reports, entries)
