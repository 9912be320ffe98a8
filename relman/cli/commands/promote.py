"""relman promote: release the image that passed its tests."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relman.app.ci.job import Job, image_of, local_engine
from relman.app.ci.library import promote_library
from relman.app.ci.promote import in_registry, of_run_in_registry, promote_stage, release_check, release_there
from relman.app.factories import registry_of, written_service
from relman.app.image_target import reference_of
from relman.app.policy import skips_of
from relman.app.releases.copy_release import Move, to_elsewhere
from relman.ci.results import report_store as kept
from relman.ci.run.run_name import run_name
from relman.cli.options import file_option, reason_option, results_option, run_option, skip_option
from relman.cli.verb import CommandContext, verb
from relman.model.errors import Unreachable, UsageError
from relman.model.image import Repository

if TYPE_CHECKING:
    pass


@verb("promote")
@click.argument("tag", required=False)
@click.option("--to", metavar="REGISTRY/NAME", help="Copy the release TAG and its evidence there.")
@click.option("--channel", "channels", multiple=True, metavar="TAG", help="With --to: a channel that follows it there.")
@file_option
@run_option
@click.option("--image", metavar="TAG|DIGEST", help="An image that is in the registry already: no engine is needed.")
@results_option("What `relman test --results` wrote on another machine; by default what is kept on this one.")
@skip_option
@reason_option
def promote(
    context: CommandContext,
    tag: str | None,
    to: str | None,
    channels: Sequence[str],
    file: str,
    run_flag: str | None,
    image: str | None,
    results: str | None,
    skip_gates: Sequence[str],
    reason: str | None,
) -> None:
    """Release the image that passed its tests.

    It is pushed, proven to be the tested one, and tagged.

    With TAG and --to a release is copied to another repository or registry: the same digests, with all statements, and
    with a release statement of its own. Started again after an interruption it copies only what is missing.
    """
    service = written_service(context, file)
    check = release_check(context, service, skips_of(context, skip_gates, reason))
    if tag or to or channels:
        if not (tag and to):
            raise UsageError("TAG and --to go together", hint="relman promote 118 --to registry.example.com/shop")
        move = Move(service.repository, tag, Repository.parse(to), tuple(channels), service.name)
        to_elsewhere(context, move, check)
        return
    report = kept.read(Path(results)) if results else None
    if library := service.release.library:
        if image:
            raise click.UsageError("--image is for what is released as an image, and this is a library.")
        run = report.run if report and not run_flag else run_name(context.environ, run_flag, service.name)
        promote_library(Job(context, service, run), library, report)
        return
    if image:
        registry = registry_of(context, service.repository, writes=True)
        found = in_registry(registry, service, reference_of(service.repository, image), report)
        named = run_name(context.environ, run_flag, service.name) if run_flag else None
        release_there(context, service, registry, found, report, named, check)
        return
    run = report.run if report and not run_flag else run_name(context.environ, run_flag, service.name)
    job = Job(context, service, run)
    with ExitStack() as stack:
        try:
            client = stack.enter_context(local_engine())
            held = image_of(client, job)
        except (Unreachable, UsageError) as error:
            found = of_run_in_registry(job, report, error)
            release_there(context, service, job.registry, found, report, run, check)
        else:
            promote_stage(job, client, held, report, check)
