"""relman promote: make the image that passed a release."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relman.ci.build.stage import VERSION
from relman.ci.engine import images
from relman.ci.engine.owner import run_of
from relman.ci.engine.push import push
from relman.ci.results import report_store as kept
from relman.ci.run.release_tags import Tags
from relman.ci.run.run_name import describe as describe_commit
from relman.ci.run.run_name import run_name
from relman.cli.compose import ledger, registry_of, timestamp, who, written_service
from relman.cli.copying import Move, to_elsewhere
from relman.cli.gates import check_of, reason_option, served_in, skip_option, skips_of
from relman.cli.library import promote_library
from relman.cli.options import file_option, results_option, run_option
from relman.cli.references import reference_of
from relman.cli.runs import Job, image_of, local_engine, tags_of
from relman.cli.signing import writing_seal
from relman.cli.verb import Context, verb
from relman.evidence.assessment import Check
from relman.evidence.promote import promote as make_release
from relman.evidence.promote import require_tested
from relman.model.container import Image
from relman.model.errors import PolicyRefused, RelmanError, UnknownTag, Unreachable, UsageError
from relman.model.image import ManifestDigest, Repository
from relman.model.policy import Skip
from relman.model.run import Release, RunName, TestReport
from relman.model.service import Service
from relman.registry.client import Registry
from relman.registry.images import ImageDescription, describe

if TYPE_CHECKING:
    import docker


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
    context: Context,
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
    check = release_check(context, service, skips_of(skip_gates, reason))
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
        found = _in_registry(registry, service, reference_of(service.repository, image), report)
        named = run_name(context.environ, run_flag, service.name) if run_flag else None
        _promote_there(context, service, registry, found, report, named, check)
        return
    run = report.run if report and not run_flag else run_name(context.environ, run_flag, service.name)
    job = Job(context, service, run)
    with ExitStack() as stack:
        try:
            client = stack.enter_context(local_engine())
            held = image_of(client, job)
        except (Unreachable, UsageError) as error:
            found = _of_run_in_registry(job, report, error)
            _promote_there(context, service, job.registry, found, report, run, check)
        else:
            promote_stage(job, client, held, report, check)


def release_check(context: Context, service: Service, skips: tuple[Skip, ...] = ()) -> Check:
    """How an image is judged before it becomes a release of the service, and the seal that signs its statements."""
    demands = service.release.demands
    seal = writing_seal(context, demands)
    served = served_in(context, demands.policy, (), service.name)
    return check_of(demands, seal, skips=skips, served=served)


def promote_stage(job: Job, client: docker.APIClient, image: Image, report: TestReport | None, check: Check) -> Release:
    """Push an image that the engine holds, and release it; without a report the one kept for it counts.

    What forbids it is found before anything is pushed, unless statements in the registry decide."""
    job.phase("promote")
    config = images.config_digest(client, image.id)
    report = report or kept.load(config, kept.directory(job.context.environ))
    tags = _tags(job, report, image.labels.get(VERSION, ""))
    require_tested(report, config, job.local_tag, check.skips)
    digest = push(client, job.service.repository, image.id, job.run, job.credentials, job.say)
    return _release(job, job.registry, digest, report, tags, check)


def require_free(job: Job, tags: Tags) -> None:
    """Raise PolicyRefused where the release exists: a build makes a new image, and a release never moves."""
    repository = job.service.repository
    if job.registry.find(repository, tags.release) is not None:
        raise PolicyRefused(
            f"the release {repository.name}:{tags.release} already exists",
            hint=f"Give this run another build number. If its promotion was interrupted, "
            f"`relman promote --image {tags.release}` completes it.",
        )


def _promote_there(
    context: Context,
    service: Service,
    registry: Registry,
    found: ImageDescription,
    report: TestReport | None,
    run: RunName | None,
    check: Check,
) -> None:
    """Release an image that the registry holds."""
    report = report or kept.load(found.config, kept.directory(context.environ))
    job = Job(context, service, run or report.run)
    job.phase("promote")
    _release(job, registry, found, report, _tags(job, report, found.labels.get(VERSION, "")), check)


def _in_registry(
    registry: Registry, service: Service, reference: str | ManifestDigest, report: TestReport | None
) -> ImageDescription:
    return describe(registry, service.repository, reference, report.platform if report else None)


def _of_run_in_registry(job: Job, report: TestReport | None, absent: RelmanError) -> ImageDescription:
    """The image that an earlier promotion pushed under the run's own tag; `absent` says why it is not the engine's."""
    try:
        found = _in_registry(job.registry, job.service, job.run.tag, report)
    except UnknownTag as error:
        raise UsageError(
            f"there is no image of run {job.run}, neither on the engine nor in the registry",
            hint="Run `relman build` and `relman test` first, with the same --run.",
            details=[str(absent), str(error)],
        ) from error
    if run_of(found.labels) != job.run:
        raise UsageError(f"{job.local_tag} is not an image of run {job.run}")
    return found


def _tags(job: Job, report: TestReport, version: str) -> Tags:
    if str(report.run) != str(job.run):
        raise UsageError(f"the test results are those of run {report.run}, not of {job.run}")
    return tags_of(job, report.commit, version)


def _release(
    job: Job,
    registry: Registry,
    source: ManifestDigest | ImageDescription,
    report: TestReport,
    tags: Tags,
    check: Check,
) -> Release:
    """Release what the registry holds under a digest, say so and note it in the history."""
    context, repository = job.context, job.service.repository
    release = make_release(
        registry,
        repository,
        source=source,
        report=report,
        release_tag=tags.release,
        channels=tags.channels,
        check=replace(check, now=datetime.now(UTC)),
    )
    ledger(context).record_release(
        service=job.service.name,
        repository=str(repository),
        tag=release.tag,
        manifest=str(release.manifest),
        run=str(job.run),
        by=who(),
        at=timestamp(),
        reason="; ".join(release.skipped),
    )
    for skip in release.skipped:
        context.output.warn(f"{release}: {skip}")
    job.say(f"released {repository}:{release.tag}, {describe_commit(report.commit)}")
    job.say(f"  digest {release.manifest}")
    job.say(f"  channels that follow it: {', '.join(release.channels) or 'none'}")
    if stay := [channel for channel in tags.channels if channel not in release.channels]:
        job.say(f"  channels that stay where they are, because it is no new release: {', '.join(stay)}")
    job.context.outputs.update(release=release.tag, digest=str(release.manifest))
    job.json(
        "promote",
        repository=str(repository),
        release=release.tag,
        channels=list(release.channels),
        manifest=str(release.manifest),
        config=str(release.config),
        platform=str(release.platform),
        skipped=list(release.skipped),
    )
    return release
