"""Carry out a rollout on a terminal: show the plan, ask, show progress, and print the report."""

from __future__ import annotations

from relman.app.deployments.rollouts import Rollout
from relman.cli.output import plan_view
from relman.cli.output.progress import Screen
from relman.cli.verb import CommandContext
from relman.model.plan import Plan
from relman.rollout.progress import Report


def ask_and_carry_out(context: CommandContext, rollout: Rollout, *, plan_only: bool, yes: bool) -> None:
    """Show the plan; unless `plan_only`, ask, carry it out, print the report, and raise its error."""
    output = context.output
    agreed: Plan | None = None
    if plan_only or not yes:
        agreed = rollout.preview()
        plan_view.show_plan(output, agreed)
        if plan_only:
            return
        if agreed.steps and not output.confirm(f"{plan_view.in_words(agreed)}?"):
            output.note("nothing was changed")
            return

    def planned(plan: Plan) -> None:
        if agreed is None:
            plan_view.show_plan(output, plan)

    screen = Screen(output)
    with screen.showing([h.name for h in rollout.fleet.environment.hosts]):
        report = rollout.carry_out(screen, agreed, planned)
    recap_and_raise(context, report)


def recap_and_raise(context: CommandContext, report: Report) -> None:
    """Print a report, and raise its error."""
    plan_view.recap(context.output, report)
    if report.error:
        raise report.error
