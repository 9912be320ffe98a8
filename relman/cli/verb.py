"""What every command has in common: its context, and the options that may stand before or after its name."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import click

from relman.app import context as app
from relman.cli.output.printer import Output, standard_output
from relman.cli.signals import Signals

_LONGEST = 31 * 86400.0


@dataclass(frozen=True, kw_only=True)
class CommandContext(app.Context):
    """The context of a command: that of a use case, plus `output`, which also receives its events, and `deadline`, by
    time.monotonic() (None without --timeout)."""

    output: Output
    debug: bool = False
    deadline: float | None = None
    signals: Signals = field(default_factory=Signals)

    @property
    def seconds_left(self) -> float | None:
        """The seconds until the deadline, or None."""
        return None if self.deadline is None else self.deadline - time.monotonic()


@dataclass
class Flags:
    """The options that all commands share, as far as they have been parsed."""

    environ: Mapping[str, str]
    signals: Signals
    values: dict[str, Any] = field(default_factory=dict)
    started: bool = False
    failure: int | None = None
    outputs: dict[str, str] = field(default_factory=dict)

    @cached_property
    def output(self) -> Output:
        """The command's Output; requires that --json has been parsed."""
        return standard_output(bool(self.values.get("json")), self.environ)

    @property
    def debug(self) -> bool:
        """Whether errors are shown with their traceback."""
        return bool(self.values.get("debug"))

    def context(self) -> CommandContext:
        """The command's context; the time of --timeout begins now."""
        self.started = True
        seconds = self.values.get("timeout")
        if seconds is not None:
            self.signals.deadline(seconds)
        deadline = None if seconds is None else time.monotonic() + seconds
        return CommandContext(
            events=self.output,
            environ=self.environ,
            outputs=self.outputs,
            vault_ids=tuple(self.values.get("vault_ids", ())),
            run_inventory=bool(self.values.get("run_inventory")),
            ask_secret=_ask_secret if self.output.can_ask else None,
            output=self.output,
            debug=self.debug,
            deadline=deadline,
            signals=self.signals,
        )


def _ask_secret(question: str, confirm: bool) -> str:
    ask: Callable[..., str] = click.prompt
    return ask(question, hide_input=True, confirmation_prompt=confirm, err=True)


class VerbCommand(click.Command):
    """A command with the shared options, whose function gets a Context as its first argument."""

    def __init__(self, name: str, failure: int | None = None, **attributes: Any) -> None:
        super().__init__(name, **attributes)
        self.failure = failure
        self.params.extend(shared_options())

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the command line, whose errors may have an exit code of the command's own already."""
        if parent and (flags := parent.find_object(Flags)):  # a shell that completes has none
            flags.failure = self.failure
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        ctx.obj = ctx.ensure_object(Flags).context()
        return super().invoke(ctx)


def verb(name: str, failure: int | None = None) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function `(context: Context, **options)` the command `name`; its docstring is the help. With `failure` all
    errors have that exit code, except that it was cancelled."""

    def make(function: Callable[..., None]) -> click.Command:
        return click.command(name, cls=VerbCommand, failure=failure)(click.pass_obj(function))

    return make


def shared_options() -> Sequence[click.Option]:
    """--json, --debug and --timeout, valid before and after the command."""
    return (
        click.Option(["--json"], is_flag=True, help="Print JSON documents.", **_KEPT),
        click.Option(["--debug"], is_flag=True, help="Show the traceback of an error.", **_KEPT),
        click.Option(
            ["--timeout"], type=float, metavar="SECONDS", help="Cancel the whole command after this time.", **_KEPT
        ),
    )


def kept(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    """The callback of an option whose value goes into the Context."""
    if value is None or value is False or value == ():
        return
    if option.name == "timeout" and not (math.isfinite(value) and 0 < value <= _LONGEST):
        raise click.BadParameter(f"{value:g} is not a number of seconds above 0 and up to {_LONGEST:.0f}.")
    ctx.ensure_object(Flags).values[str(option.name)] = value


_KEPT: Mapping[str, Any] = {"expose_value": False, "is_eager": True, "callback": kept}
