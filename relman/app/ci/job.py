"""What build, test, promote, cleanup and ci share: the run, its service, the engine, and reporting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from relman.app.ci.outputs import tell_system
from relman.app.context import Context
from relman.app.factories import credentials_of, registry_of, written_service
from relman.app.signing import reading_seal
from relman.ci.engine import images
from relman.ci.engine.owner import run_of
from relman.ci.engine.stopwatch import Watch
from relman.ci.run.release_tags import Tags, tags_for
from relman.ci.run.run_lock import alone
from relman.ci.run.run_name import run_name
from relman.config.ci_systems import system_of
from relman.docker.local import LocalClient, connect
from relman.evidence.assessment import Criteria
from relman.evidence.promote import check_names
from relman.evidence.release import find_release
from relman.local.directories import data_directory
from relman.model.container import Image
from relman.model.errors import NotFound, UsageError
from relman.model.image import ImageRef, ManifestDigest, Platform
from relman.model.run import Commit, RunName
from relman.model.service import Service
from relman.registry.auth import Credentials
from relman.registry.client import Registry


@dataclass(frozen=True)
class Job:
    """One run of a service; `file` is its relman.yml."""

    context: Context
    service: Service
    run: RunName
    file: str = "relman.yml"
    watch: Watch = field(default_factory=Watch)

    @property
    def root(self) -> Path:
        """The directory of relman.yml."""
        return Path(self.service.root)

    @property
    def local_tag(self) -> str:
        """The run's tag: build puts it on the engine, promote in the registry."""
        return self.service.repository.tag(self.run.tag)

    def credentials(self, registry: str) -> Credentials | None:
        """The credentials for any registry, or None."""
        return credentials_of(self.context, registry)

    def released(self, reference: ImageRef, platform: Platform) -> ManifestDigest:
        """The manifest digest of another team's release, verified with the keys in the service's own trust.yml, if it
        names one.

        Raises what find_release raises.
        """
        registry = registry_of(self.context, reference.repository)
        check = Criteria(reading_seal(self.service.release.demands))
        return find_release(registry, reference.repository, reference.reference, platform, check=check).manifest

    def alone(self) -> AbstractContextManager[None]:
        """Hold the run's lock on this machine. Raises Locked."""
        return alone(self.run, locks(self.context))

    @cached_property
    def registry(self) -> Registry:
        """A client of the service's registry, with push access."""
        return registry_of(self.context, self.service.repository, writes=True)

    def say(self, text: str) -> None:
        """Report progress."""
        self.context.events.note(text)

    def phase(self, name: str) -> None:
        """Report that a stage begins."""
        self.context.events.phase(f"{name} {self.service.name}, run {self.run}")

    def json(self, kind: str, **data: Any) -> None:
        """Emit the document of a finished stage, and write the CI system's outputs and summary."""
        document = {"run": str(self.run), "service": self.service.name, **data}
        self.context.events.json(kind, document)
        environ = self.context.environ
        outputs = self.context.outputs if kind == "promote" else {}
        try:
            tell_system(system_of(environ), environ, kind, document, outputs)
        except OSError as error:
            what = "the outputs for the CI system could not be written"
            self.context.events.warn(f"{what}: {error.filename}: {error.strerror}")


def open_job(context: Context, file: str, run_flag: str | None) -> Job:
    """The run named by the flag or the CI system's variables, of the service in `file`. Raises UsageError and
    ConfigError."""
    service = written_service(context, file)
    return Job(context, service, run_name(context.environ, run_flag, service.name), file)


def locks(context: Context) -> Path:
    """The directory of run locks."""
    return data_directory(context.environ) / "runs"


@contextmanager
def local_engine(watch: Watch | None = None) -> Iterator[LocalClient]:
    """The engine that builds and tests. Raises Unreachable."""
    with closing(connect((watch or Watch()).waiting)) as client:
        yield client


def image_of(client: LocalClient, job: Job) -> Image:
    """The image that this run has built, by its local tag. Raises UsageError if there is none."""
    hint = "Run `relman build` first, on this machine and with the same --run."
    try:
        image = images.inspect(client, job.local_tag)
    except NotFound:
        raise UsageError(f"the engine has no image of run {job.run}: {job.local_tag}", hint=hint) from None
    if run_of(image.labels) != job.run:
        raise UsageError(f"{job.local_tag} is not an image of run {job.run}", hint=hint)
    return image


def tags_of(job: Job, commit: Commit, version: str) -> Tags:
    """The tags of the run's release. Raises UsageError if they are invalid."""
    tags = tags_for(job.service.release, job.run, commit, version)
    check_names(tags.release, tags.channels)
    return tags
