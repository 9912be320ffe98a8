"""Build the image of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from relman.app.ci.job import Job, local_engine
from relman.ci.build.stage import build as build_image
from relman.ci.engine import images
from relman.ci.run.run_name import commit_of, distrustful, version_of
from relman.config.deploy import freeze
from relman.config.deploy_files import file_contents
from relman.docker.local import LocalClient
from relman.model.formats.clock import timestamp
from relman.model.image import ImageId
from relman.model.run import Commit
from relman.model.service import Service


def build_stage(job: Job, client: LocalClient, commit: Commit, version: str) -> ImageId:
    """Build, report what was built, and return the image."""
    job.phase("build")
    if why := distrustful(job.root):
        job.context.events.warn(why)
    image = build_image(
        client,
        job.service,
        job.run,
        commit,
        version=version,
        created=timestamp(),
        deploy_section=freeze(job.service),
        files=file_contents(job.service),
        environ=job.context.environ,
        credentials=job.credentials,
        progress=job.say,
        watch=job.watch,
    )
    config = images.config_digest(client, image)
    job.say(f"built image {config.short}, on this engine {job.local_tag}")
    job.json(
        "build",
        image=str(image),
        config=str(config),
        tag=job.local_tag,
        commit=commit.revision,
        dirty=commit.dirty,
        image_version=version,
    )
    return image


def with_args(service: Service, given: Mapping[str, str]) -> Service:
    """The service with build arguments of this run, which override those in relman.yml."""
    return replace(service, build=replace(service.build, args={**service.build.args, **given}))


def version_for(job: Job, given: str | None) -> str:
    """The version for the image: the given one, else git's; "" if there is none."""
    return version_of(job.root) if given is None else given


def build_run(job: Job, version: str | None) -> None:
    """Build the checked-out commit under the run's lock. `version` is the image's (None: git's)."""
    with job.alone(), local_engine() as client:
        build_stage(job, client, commit_of(job.root, job.context.environ), version_for(job, version))
