"""relman promote: make the image that passed a release."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relman.ci import images
from relman.ci import results as kept
from relman.ci.build import VERSION
from relman.ci.names import describe as describe_commit
from relman.ci.names import run_name
from relman.ci.push import push
from relman.ci.tags import Tags
from relman.cli.compose import ledger, registry_of, timestamp, who
from relman.cli.library import promote_library
from relman.cli.options import file_option, results_option, run_option
from relman.cli.runs import Job, image_of, local_engine, tags_of
from relman.cli.verb import Context, verb
from relman.config.service import load_service
from relman.evidence.promote import promote as make_release
from relman.evidence.promote import require_tested
from relman.model.container import RUN, Image
from relman.model.errors import PolicyRefused, RelmanError, UnknownTag, Unreachable, UsageError
from relman.model.image import ImageRef, ManifestDigest, Repository
from relman.model.run import Release, RunName, TestReport
from relman.model.service import Service
from relman.registry.images import ImageDescription, describe

if TYPE_CHECKING:
    import docker


@verb("promote")
@file_option
@run_option
@click.option("--image", metavar="TAG|DIGEST", help="An image that is in the registry already: no engine is needed.")
@results_option("What `relman test --results` wrote on another machine; by default what is kept on this one.")
def promote(context: Context, file: str, run_flag: str | None, image: str | None, results: str | None) -> None:
    """Release the image that passed: push it, prove that it is the tested one, and tag it."""
    service = load_service(file)
    report = kept.read(Path(results)) if results else None
    if library := service.release.library:
        if image:
            raise click.UsageError("--image is for what is released as an image, and this is a library.")
        run = report.run if report and not run_flag else run_name(context.environ, run_flag)
        promote_library(Job(context, service, run), library, report)
        return
    if image:
        found = _in_registry(context, service, reference_in(service.repository, image), report)
        _promote_there(context, service, found, report, run_flag)
        return
    run = report.run if report and not run_flag else run_name(context.environ, run_flag)
    job = Job(context, service, run)
    with ExitStack() as stack:
        try:
            client = stack.enter_context(local_engine())
            held = image_of(client, job)
        except (Unreachable, UsageError) as error:
            found = _of_run_in_registry(job, report, error)
            _promote_there(context, service, found, report, str(run))
        else:
            promote_stage(job, client, held, report)


def promote_stage(job: Job, client: docker.APIClient, image: Image, report: TestReport | None) -> Release:
    """Push an image that the engine holds, and release it; without a report the one kept for it counts.

    What forbids it is found before anything is pushed."""
    job.phase("promote")
    config = images.config_digest(client, image.id)
    report = report or kept.load(config, kept.directory(job.context.environ))
    tags = _tags(job, report, image.labels.get(VERSION, ""))
    require_tested(report, config, job.local_tag)
    digest = push(client, job.service.repository, image.id, job.run, job.credentials, job.say)
    return _release(job, digest, report, tags)


def require_free(job: Job, tags: Tags) -> None:
    """Raise PolicyRefused where the release exists: a build makes a new image, and a release never moves."""
    repository = job.service.repository
    if registry_of(job.context, repository, None).find(repository, tags.release) is not None:
        raise PolicyRefused(
            f"the release {repository.name}:{tags.release} exists already",
            hint=f"Give this run another build number. If its promotion was interrupted, "
            f"`relman promote --image {tags.release}` completes it.",
        )


def reference_in(repository: Repository, text: str) -> str | ManifestDigest:
    """The tag or digest that `text` names in `repository`, with or without it in front. Raises UsageError."""
    named = ImageRef.parse(text if "/" in text else f"{repository}{'@' if ':' in text else ':'}{text}")
    if named.repository != repository:
        raise UsageError(
            f"{named} is not in {repository}",
            hint="relman.yml says where the service's images are; promote one of those.",
        )
    return named.reference


def _promote_there(
    context: Context, service: Service, found: ImageDescription, report: TestReport | None, run: str | None
) -> None:
    """Release an image that the registry holds."""
    report = report or kept.load(found.config, kept.directory(context.environ))
    job = Job(context, service, RunName.parse(run) if run else report.run)
    job.phase("promote")
    _release(job, found.resolved.digest, report, _tags(job, report, found.labels.get(VERSION, "")))


def _in_registry(
    context: Context, service: Service, reference: str | ManifestDigest, report: TestReport | None
) -> ImageDescription:
    registry = registry_of(context, service.repository, None)
    return describe(registry, service.repository, reference, report.platform if report else None)


def _of_run_in_registry(job: Job, report: TestReport | None, absent: RelmanError) -> ImageDescription:
    """The image that an earlier promotion pushed under the run's own tag; `absent` says why it is not the engine's."""
    try:
        found = _in_registry(job.context, job.service, job.run.tag, report)
    except UnknownTag as error:
        raise UsageError(
            f"there is no image of run {job.run}, neither on the engine nor in the registry",
            hint="Run `relman build` and `relman test` first, with the same --run.",
            details=[str(absent), str(error)],
        ) from error
    if (owner := found.labels.get(RUN)) != str(job.run):
        raise UsageError(f"{job.local_tag} is an image of run {owner}, not of {job.run}")
    return found


def _tags(job: Job, report: TestReport, version: str) -> Tags:
    if report.run != job.run:
        raise UsageError(f"the test results are those of run {report.run}, not of {job.run}")
    return tags_of(job, report.commit, version)


def _release(job: Job, digest: ManifestDigest, report: TestReport, tags: Tags) -> Release:
    """Release what the registry holds under `digest`, say so and note it in the history."""
    context, repository = job.context, job.service.repository
    release = make_release(
        registry_of(context, repository, None),
        repository,
        source=digest,
        report=report,
        release_tag=tags.release,
        channels=tags.channels,
    )
    ledger(context).record_release(
        service=job.service.name,
        repository=str(repository),
        tag=release.tag,
        manifest=str(release.manifest),
        run=str(job.run),
        by=who(),
        at=timestamp(),
    )
    job.say(f"released {repository}:{release.tag}, {describe_commit(report.commit)}")
    job.say(f"  digest {release.manifest}")
    job.say(f"  channels that follow it: {', '.join(tags.channels) or 'none'}")
    job.context.outputs.update(release=release.tag, digest=str(release.manifest))
    job.json(
        "promote",
        repository=str(repository),
        release=release.tag,
        channels=tags.channels,
        manifest=str(release.manifest),
        config=str(release.config),
        platform=str(release.platform),
    )
    return release
