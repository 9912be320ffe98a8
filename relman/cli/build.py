"""relman build: make the image of a run, from the commit that is checked out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from relman.ci.build.stage import build as build_image
from relman.ci.engine import images
from relman.ci.run.run_name import commit_of, distrustful, version_of
from relman.cli.compose import timestamp
from relman.cli.options import build_options, file_option, run_option
from relman.cli.runs import Job, local_engine, open_job
from relman.cli.verb import Context, verb
from relman.config.deploy import freeze
from relman.model.image import ImageId
from relman.model.run import Commit
from relman.model.service import Service

if TYPE_CHECKING:
    import docker


@verb("build")
@file_option
@run_option
@build_options
def build(
    context: Context, file: str, run_flag: str | None, build_args: Mapping[str, str], version: str | None
) -> None:
    """Build the image of a run.

    The deploy section of relman.yml is frozen into it.
    """
    job = open_job(context, file, run_flag)
    job = replace(job, service=with_args(job.service, build_args))
    with job.alone(), local_engine() as client:
        build_stage(job, client, commit_of(job.root, job.context.environ), version_for(job, version))


def build_stage(job: Job, client: docker.APIClient, commit: Commit, version: str) -> ImageId:
    """Build, say what was built, and return the image."""
    job.phase("build")
    if why := distrustful(job.root):
        job.context.output.warn(why)
    image = build_image(
        client,
        job.service,
        job.run,
        commit,
        version=version,
        created=timestamp(),
        deploy_section=freeze(job.service),
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
    """The service with build arguments of this run, which win over those in relman.yml."""
    return replace(service, build=replace(service.build, args={**service.build.args, **given}))


def version_for(job: Job, given: str | None) -> str:
    """The version to put into the image: the one given, else what git says; empty where it knows none."""
    return version_of(job.root) if given is None else given
