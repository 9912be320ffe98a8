"""Remove the objects of a run from the engine."""

from __future__ import annotations

import time
from functools import partial

from relman.app.ci.job import local_engine, locks
from relman.app.context import Context
from relman.app.factories import written_service
from relman.ci.run import cleanup as engine
from relman.ci.run.run_lock import at_work
from relman.ci.run.run_name import run_name
from relman.docker.local import LocalClient
from relman.model.run import RunName


def clean(context: Context, client: LocalClient, run: RunName) -> None:
    """Clean up after one run, and report what was removed."""
    context.events.phase(f"clean up after run {run}")
    tell_removed(context, engine.cleanup(client, run), run=str(run))


def tell_removed(context: Context, removed: tuple[str, ...], **data: str) -> None:
    """Report what was removed."""
    for what in removed or ("nothing",):
        context.events.note(f"removed {what}")
    context.events.json("cleanup", {**data, "removed": removed})


def clean_run(context: Context, file: str, run_flag: str | None) -> None:
    """Clean up after the run named by the flag or the CI system's variables, of the service in `file`."""
    with local_engine() as client:
        service = written_service(context, file).name
        clean(context, client, run_name(context.environ, run_flag, service))


def clean_older(context: Context, age: float) -> None:
    """Clean up after every run older than `age` seconds, except those in progress on this machine."""
    context.events.heading("clean up after all finished runs")
    held = partial(at_work, directory=locks(context))
    with local_engine() as client:
        tell_removed(context, engine.cleanup_older(client, age, time.time(), held))
