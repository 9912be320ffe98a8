"""The command group. Commands are imported only when they are run."""

from __future__ import annotations

import difflib
import gc
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import NoReturn

import click
from click.shell_completion import CompletionItem, shell_complete

from relman import __version__
from relman.cli.crash_report import keep
from relman.cli.exits import Exit, exit_of
from relman.cli.output.printer import point_at_nothing
from relman.cli.signals import Signals
from relman.cli.verb import Flags, shared_options
from relman.hosts.ssh.proxy_command import end_all
from relman.model.errors import Cancelled, InternalError, RelmanError, UsageError

# New objects between collections. Most objects are modules, which stay: loading what a deployment needs takes 1.06 s
# of processor time instead of 1.22 s. Commands that go on (`logs -f`) are collected, too, only more rarely.
_GARBAGE = 100_000
# Command: its module and function, and its line in the listing.
VERBS: Mapping[str, tuple[str, str]] = {
    "init": ("relman.cli.commands.init:init", "Write a first relman.yml from the Dockerfile and tests here."),
    "check": ("relman.cli.commands.check:check", "Check relman.yml and the inventory without touching anything."),
    "build": ("relman.cli.commands.build:build", "Build the image of a run."),
    "test": ("relman.cli.commands.test:test", "Run the tests in the exact image that build made."),
    "promote": ("relman.cli.commands.promote:promote", "Release the image that passed its tests."),
    "cleanup": ("relman.cli.commands.cleanup:cleanup", "Remove what a run left on the engine, and nothing else."),
    "ci": ("relman.cli.commands.ci:ci", "Build, test and promote, and clean up in any case."),
    "playbook": ("relman.cli.commands.playbook:playbook", "Run a release procedure that is written down as stages."),
    "run": ("relman.cli.commands.run:run", "Run the stages of a playbook; its whole plan is shown first."),
    "deploy": ("relman.cli.commands.deploy:deploy", "Deploy a release: exactly the image that was tested."),
    "gate": ("relman.cli.commands.gate:gate", "Explain whether a release may be deployed, rule by rule."),
    "verify": ("relman.cli.commands.verify:verify", "Check a release, or what runs, against its evidence."),
    "evidence": (
        "relman.cli.commands.evidence:evidence",
        "Show every statement about an image, and whether it counts.",
    ),
    "key": ("relman.cli.commands.key:key", "Make, show, rotate and revoke the keys that sign evidence."),
    "secret": ("relman.cli.commands.secret:secret", "Write, show and list the secrets of an environment."),
    "rollback": (
        "relman.cli.commands.rollback:rollback",
        "Roll back to the newest earlier release that was proven good.",
    ),
    "restart": ("relman.cli.commands.restart:restart", "Restart what serves, wave by wave, as it is."),
    "status": ("relman.cli.commands.status:status", "Show what runs where, and what to type where something is wrong."),
    "logs": ("relman.cli.commands.logs:logs", "Show the logs of what serves on every host, merged by time."),
    "exec": ("relman.cli.commands.exec:exec", "Run a command in the running container of one host."),
    "recover": ("relman.cli.commands.recover:recover", "Finish or undo an interrupted deployment."),
    "remove": ("relman.cli.commands.remove:remove", "Remove a service from its hosts; its volumes always stay."),
    "proxy": ("relman.cli.commands.proxy:proxy", "Make, show or remove the proxy on each host."),
    "maintenance": (
        "relman.cli.commands.maintenance:maintenance",
        "Let the proxies answer in the place of a service, or no longer.",
    ),
    "lock": ("relman.cli.commands.lock:lock", "Show who is working on the hosts, or break their locks."),
    "releases": ("relman.cli.commands.releases:releases", "List what can be deployed, with its evidence."),
    "diff": ("relman.cli.commands.diff:diff", "Show what differs between two releases."),
    "history": ("relman.cli.commands.history:history", "List what was done, newest first, with who and why."),
    "show": ("relman.cli.commands.show:show", "Show one deployment, one playbook run or one CI run."),
    "inventory": ("relman.cli.commands.inventory:inventory", "Show what relman understands of the inventory."),
    "schema": ("relman.cli.commands.schema:schema", "Print the JSON Schema of relman.yml or of a playbook."),
}
# The sections of the listing, in order.
SECTIONS: Mapping[str, Sequence[str]] = {
    "To begin": ("init", "check", "inventory", "secret", "schema"),
    "In a CI job": ("ci", "build", "test", "promote", "cleanup"),
    "To deploy": ("deploy", "rollback", "restart", "recover", "remove", "proxy", "maintenance", "playbook", "run"),
    "To look": ("status", "logs", "exec", "history", "show", "lock"),
    "Releases and their evidence": ("releases", "diff", "gate", "verify", "evidence", "key"),
}


_COMPLETE = "_RELMAN_COMPLETE"


class Verbs(click.Group):
    """The commands of VERBS; listing them imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands in the order of VERBS."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` begins with. Raises UsageError."""
        if args[0] not in VERBS and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], VERBS, 1)
            hint = f"Did you mean `relman {near[0]}`?" if near else "`relman --help` lists the commands."
            raise UsageError(f"there is no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Matching options or commands; from the table, so that no command is imported."""
        verbs = [CompletionItem(name, help=line) for name, (_, line) in VERBS.items() if name.startswith(incomplete)]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the listing from the table, by section."""
        width = max(map(len, VERBS))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), VERBS[name][1]) for name in names])


_HELP = {"help_option_names": ["-h", "--help"]}


@click.group("relman", cls=Verbs, params=list(shared_options()), context_settings=_HELP)
@click.version_option(__version__, message="relman %(version)s")
def relman() -> None:
    """Promote the image that passed, and run exactly that image, everywhere, or say why not."""


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    if wanted := os.environ.get(_COMPLETE):
        sys.exit(shell_complete(relman, {}, "relman", _COMPLETE, wanted))
    gc.set_threshold(_GARBAGE)
    signals = Signals()
    signals.install()
    code = run(sys.argv[1:], os.environ, signals)
    signals.ignore()
    end_all()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)  # without waiting for threads that wait for a dead host


def run(
    argv: Sequence[str], environ: Mapping[str, str], signals: Signals, outputs: dict[str, str] | None = None
) -> int:
    """Run one command and return its exit code: the only place where exceptions become exit codes.

    The command's outputs are added to `outputs`.
    """
    flags = Flags(environ, signals, outputs={} if outputs is None else outputs)
    try:
        return _invoke(list(argv), flags)
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, BrokenPipeError) and not flags.started:
            point_at_nothing(sys.stdout)  # the reader of the help text has closed the pipe
            return Exit.DONE
        # A signal from now on would only interrupt the error message.
        signals.disarm()
        if not flags.started and _asks_for_json(argv):
            flags.values["json"] = True  # parsing may have failed before --json was read
        shown = _explained(error)
        if file := keep(shown, environ, flags.output.mask):
            shown.hint = f"This is a bug in relman. Its report is in {file}; --debug shows it here."
        code = exit_of(type(shown))
        if flags.failure and code != Exit.CANCELLED:
            code = Exit(flags.failure)
        flags.output.error(shown, debug=flags.debug, code=code)
        return code
    finally:
        signals.disarm()


def _invoke(argv: list[str], flags: Flags) -> int:
    try:
        with relman.make_context("relman", argv, obj=flags) as context:
            relman.invoke(context)
        if flags.started:
            flags.output.end_phase()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        if _asks_for_json(argv):
            raise UsageError("no command was given", hint="`relman --help` lists the commands.") from error
        click.echo(error.format_message(), err=True)
        return Exit.USAGE
    return Exit.DONE


def _asks_for_json(argv: Sequence[str]) -> bool:
    return "--json" in takewhile(lambda word: word != "--", argv)


def _explained(error: BaseException) -> RelmanError:
    """Translate foreign errors; those that no input can cause are bugs."""
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "relman"
        return _caused(UsageError(error.format_message(), hint=f"See `{path} --help`."), error)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _caused(Cancelled(getattr(error, "reason", "cancelled")), error)
    return error if isinstance(error, RelmanError) else InternalError.of(error)


def _caused(shown: RelmanError, error: BaseException) -> RelmanError:
    shown.__cause__ = error
    return shown
