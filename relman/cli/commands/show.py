"""relman show ID: one deployment, one run or one playbook run in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from relman.app.documents.history import entry_document, run_document
from relman.app.environments import Request
from relman.app.looking.lookup import RecordedRun, look_up, look_up_on_hosts
from relman.app.playbooks.runs import PlaybookRun
from relman.ci.results.test_summary import summary
from relman.cli.options import any_environment_option, inventory_option, service_option
from relman.cli.output.printer import Output
from relman.cli.output.text import moment
from relman.cli.verb import CommandContext, verb
from relman.ledger.entries import Entry
from relman.model.errors import Symptoms
from relman.model.run import TestReport
from relman.model.test_cases import SLOWEST


@verb("show")
@click.argument("id")
@any_environment_option
@inventory_option
@service_option
def show(
    context: CommandContext, id: str, environment: str | None, inventories: Sequence[str], service: str | None
) -> None:
    """Show one deployment, one playbook run or one CI run.

    A deployment by its ID, with its outcome on each host; a run by JOB/BUILD, with its test results.

    The ID may also be that of a run of a playbook: the outcome of its stages. `relman history` lists the ids. With -e
    ENV the hosts are asked, too; without, only what was done from this machine is known.
    """
    if environment is not None:
        _show_told(context, id, Request(environment, inventories, service))
        return
    found = look_up(context, id)
    match found:
        case Entry():
            _show_deployment(context.output, found)
        case PlaybookRun():
            _show_playbook(context.output, found)
        case RecordedRun():
            _show_run(context.output, found)


def _show_told(context: CommandContext, id: str, request: Request) -> None:
    """A deployment as the hosts tell it, beside what is known here."""
    told = look_up_on_hosts(context, id, request)
    if told.entry:
        _show_deployment(context.output, told.entry)
    for remark in told.remarks:
        context.output.warn(remark)
    told.require()


def _show_deployment(output: Output, entry: Entry) -> None:
    output.json("deployment", entry_document(entry))
    _facts(output, f"{entry.what} {entry.service} {entry.release}", _deployment_facts(entry))
    hosts = [(h.host, h.outcome, h.detail) for h in entry.hosts]
    if hosts:
        output.table(("HOST", "RESULT", "DETAIL"), hosts, ("DETAIL",))
    for host in entry.hosts:
        if host.failed:
            output.line(f"{host.host}: {host.failed.what}")
            for line in _symptoms(host.failed.symptoms):
                output.line(f"  {line}")


def _symptoms(seen: Symptoms | None) -> Iterator[str]:
    if seen is None:
        return
    if seen.exit_code is not None:
        yield f"exit code {seen.exit_code}"
    if seen.oom:
        yield "killed: out of memory (OOM)"
    if seen.probe:
        yield f"health check: {seen.probe}"
    yield from (f"log: {line}" for line in seen.log)


def _show_playbook(output: Output, run: PlaybookRun) -> None:
    output.json("playbook-run", run.to_json())
    variables = {**run.variables, **run.outputs}
    facts = [("began", f"{moment(run.started)} UTC"), *variables.items()]
    _facts(output, f"playbook {run.file}, run {run.id}", facts)
    rows = [
        (str(number), stage.what, stage.state, "" if stage.exit is None else str(stage.exit), stage.by)
        for number, stage in enumerate(run.stages, 1)
    ]
    output.table(("STAGE", "WHAT", "STATE", "EXIT", "BY"), rows, ("BY",))


def _show_run(output: Output, run: RecordedRun) -> None:
    output.json("run", run_document(run))
    output.line(f"run {run.name}")
    for report in run.reports:
        _show_report(output, report)
    for entry in run.entries:
        what = f"{entry.what} {entry.release}" if entry.what != "tested" else entry.what
        output.line(f"{what}: {entry.outcome}, {moment(entry.at)} UTC, by {entry.by}, {entry.digest}")


def _show_report(output: Output, report: TestReport) -> None:
    commit = report.commit.revision or "none: it was not built from a git checkout"
    facts = [
        ("tests", "passed" if report.passed else "FAILED"),
        ("image", f"{report.config} ({report.platform})"),
        ("commit", f"{commit}, with uncommitted changes" if report.commit.dirty else commit),
        ("branch", report.commit.branch),
        ("log", report.url),
        ("from", f"{moment(report.started)} to {moment(report.finished)} UTC"),
        *(("linked", f"{alias}: {image}") for alias, image in report.services.items()),
    ]
    _facts(output, f"{report.service}, tested", facts)
    for line in summary(report, slowest=SLOWEST):
        output.line(f"  {line}")


def _deployment_facts(entry: Entry) -> Sequence[tuple[str, str]]:
    return [
        ("id", entry.id),
        ("environment", entry.environment),
        ("outcome", entry.outcome),
        ("cause", entry.cause),
        ("digest", entry.digest),
        ("commit", entry.commit),
        ("by", entry.by),
        ("began", f"{moment(entry.began)} UTC" if entry.began else ""),
        ("ended", f"{moment(entry.at)} UTC"),
        ("reason", entry.reason),
        ("resolved", entry.resolved),
        ("users", entry.users),
    ]


def _facts(output: Output, title: str, facts: Sequence[tuple[str, str]]) -> None:
    """A title, and a line for each fact that is not empty."""
    output.line(title.rstrip())
    for name, value in facts:
        if value:
            output.line(f"  {name:11} {value}")
