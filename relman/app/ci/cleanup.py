"""Remove the objects of a run from the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman.app.context import Context
from relman.ci.run import cleanup as engine
from relman.model.run import RunName

if TYPE_CHECKING:
    import docker


def clean(context: Context, client: docker.APIClient, run: RunName) -> None:
    """Clean up after one run, and report what was removed."""
    context.events.phase(f"clean up after run {run}")
    tell_removed(context, engine.cleanup(client, run), run=str(run))


def tell_removed(context: Context, removed: tuple[str, ...], **data: str) -> None:
    """Report what was removed."""
    for what in removed or ("nothing",):
        context.events.note(f"removed {what}")
    context.events.json("cleanup", {**data, "removed": removed})
