"""Release the image that passed its tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from relman.app.ci.job import Job, tags_of
from relman.app.context import Context
from relman.app.factories import ledger
from relman.app.identity import who
from relman.app.policy import check_of, served_in
from relman.app.signing import writing_seal
from relman.ci.engine import images
from relman.ci.engine.owner import run_of
from relman.ci.engine.push import push
from relman.ci.results import report_store as kept
from relman.ci.run.release_tags import Tags
from relman.ci.run.run_name import describe as describe_commit
from relman.docker.local import LocalClient
from relman.evidence.assessment import Criteria
from relman.evidence.promote import promote as make_release
from relman.evidence.promote import require_tested
from relman.model.container import Image
from relman.model.errors import PolicyRefused, RelmanError, UnknownTag, UsageError
from relman.model.formats.clock import timestamp
from relman.model.image import ManifestDigest
from relman.model.image_config import VERSION
from relman.model.policy import Skip
from relman.model.run import Release, RunName, TestReport
from relman.model.service import Service
from relman.registry.client import Registry
from relman.registry.images import ImageDescription, describe


def release_check(context: Context, service: Service, skips: tuple[Skip, ...] = ()) -> Criteria:
    """How an image is judged before it becomes a release of the service, and the seal that signs its statements."""
    demands = service.release.demands
    seal = writing_seal(context, demands)
    served = served_in(context, demands.policy, (), service.name)
    return check_of(demands, seal, skips=skips, served=served)


def promote_stage(job: Job, client: LocalClient, image: Image, report: TestReport | None, check: Criteria) -> Release:
    """Push an image from the engine and release it; without a report, the stored one counts.

    Refusals are raised before anything is pushed, unless they depend on statements in the registry.
    """
    job.phase("promote")
    config = images.config_digest(client, image.id)
    report = report or kept.load(config, kept.directory(job.context.environ))
    tags = _tags(job, report, image.labels.get(VERSION, ""))
    require_tested(report, config, job.local_tag, check.skips)
    digest = push(client, job.service.repository, image.id, job.run, job.credentials, job.say)
    return _release(job, job.registry, digest, report, tags, check)


def require_free(job: Job, tags: Tags) -> None:
    """Raise PolicyRefused if the release exists: a build makes a new image, and a release never moves."""
    repository = job.service.repository
    if job.registry.find(repository, tags.release) is not None:
        raise PolicyRefused(
            f"the release {repository.name}:{tags.release} already exists",
            hint=f"Give this run another build number. If its promotion was interrupted, "
            f"`relman promote --image {tags.release}` completes it.",
        )


def release_there(
    context: Context,
    service: Service,
    registry: Registry,
    found: ImageDescription,
    report: TestReport | None,
    run: RunName | None,
    check: Criteria,
) -> None:
    """Release an image that is in the registry."""
    report = report or kept.load(found.config, kept.directory(context.environ))
    job = Job(context, service, run or report.run)
    job.phase("promote")
    _release(job, registry, found, report, _tags(job, report, found.labels.get(VERSION, "")), check)


def in_registry(
    registry: Registry, service: Service, reference: str | ManifestDigest, report: TestReport | None
) -> ImageDescription:
    """The image in the registry under a tag or digest, for the platform that was tested."""
    return describe(registry, service.repository, reference, report.platform if report else None)


def of_run_in_registry(job: Job, report: TestReport | None, absent: RelmanError) -> ImageDescription:
    """The image that an earlier promotion pushed under the run's tag; `absent` is why the engine does not have it."""
    try:
        found = in_registry(job.registry, job.service, job.run.tag, report)
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
    check: Criteria,
) -> Release:
    """Release the image with a digest in the registry, report it, and record it in the history."""
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
        by=who(context.environ),
        at=timestamp(),
        reason="; ".join(release.skipped),
    )
    for skip in release.skipped:
        context.events.warn(f"{release}: {skip}")
    job.say(f"released {repository}:{release.tag}, {describe_commit(report.commit)}")
    job.say(f"  digest {release.manifest}")
    job.say(f"  channels: {', '.join(release.channels) or 'none'}")
    if stay := [channel for channel in tags.channels if channel not in release.channels]:
        job.say(f"  channels not moved, because this is not a new release: {', '.join(stay)}")
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
