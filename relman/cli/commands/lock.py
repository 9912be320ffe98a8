"""relman lock status|break -e ENV: show who is working on the hosts, or break their locks."""

from __future__ import annotations

from collections.abc import Mapping

import click

from relman.app.deployments.locks import Locks, open_locks
from relman.app.documents.hosts import locks_document
from relman.app.environments import Request
from relman.cli.options import environment_options, gathered, yes_option
from relman.cli.output.progress import Screen
from relman.cli.output.text import span
from relman.cli.verb import CommandContext, verb
from relman.model.errors import UsageError
from relman.model.state_dir.lock import FoundLock, Phase


@verb("lock")
@click.argument("what", type=click.Choice(["status", "break"]))
@environment_options
@click.option("--reason", metavar="TEXT", help="Why the lock is broken; its holder and the history show it.")
@yes_option
@gathered(Request, "request")
def lock(
    context: CommandContext,
    what: str,
    request: Request,
    yes: bool,
) -> None:
    """Show who is working on the hosts, or break their locks.

    `status` shows the locks, `break` takes them away from their holders.

    A lock expires a minute after its holder's last sign of life. Break it if its holder is alive but stuck. End the
    holder first if you can: otherwise it finishes what it is doing on a host at that moment.
    """
    if what == "break" and not request.reason:
        raise UsageError("lock break needs --reason", hint="say why: its holder sees it")
    with open_locks(context, request) as locks:
        found = locks.read()
        _show(context, found)
        if what == "break" and found:
            _break(context, locks, yes)


def _show(context: CommandContext, found: Mapping[str, FoundLock]) -> None:
    document = locks_document(found)
    context.output.json("locks", document)
    if not found:
        context.output.line("no host is locked")
        return
    cells = [(r["host"], r["owner"], r["state"], f"{span(r['age'])} ago", r["message"]) for r in document["hosts"]]
    context.output.table(
        ("HOST", "OWNER", "STATE", "LAST SEEN", "DOING"), cells, ("OWNER", "STATE", "LAST SEEN", "DOING")
    )


def _break(context: CommandContext, locks: Locks, yes: bool) -> None:
    asked, output = locks.asked, context.output
    if not (yes or output.confirm(f"break the locks of {asked.service} in {asked.environment}?")):
        output.note("nothing was changed")
        return
    broken = locks.break_all(Screen(output))
    output.line(f"broken on {', '.join(broken) or 'no host: they were released meanwhile'}")
    if any(f.lock and f.lock.phase is not Phase.HELD for f in broken.values()):
        output.line(f"a deployment was interrupted: relman recover {asked.place}")
