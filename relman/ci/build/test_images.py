"""The images in which test commands run: the one under test, another one, or a stage of its Dockerfile."""

from __future__ import annotations

from dataclasses import dataclass, replace

from relman.ci.callbacks import CredentialsFor, Progress
from relman.ci.engine import images
from relman.ci.engine.ensure_image import obtain
from relman.ci.engine.owner import run_of
from relman.ci.entrypoint.image import require_started, with_proof
from relman.docker.client import Client
from relman.model.container import Image
from relman.model.errors import NotFound, UsageError
from relman.model.run import RunName
from relman.model.service import Service, TestCommand, TestStage


@dataclass(frozen=True)
class TestImage:
    """The image in which a command runs. `reference` names it in records, "" for the image under test."""

    image: Image
    reference: str = ""


def stage_tag(service: Service, run: RunName, stage: str) -> str:
    """The tag of a Dockerfile stage on the engine."""
    return service.repository.tag(f"{run.tag}.{stage.lower()}")


def places(
    client: Client,
    service: Service,
    run: RunName,
    tested: Image,
    credentials: CredentialsFor,
    progress: Progress,
) -> tuple[TestImage, ...]:
    """The image of each test command, present on the engine. Raises UsageError if the run has not built such a stage,
    and what resolving and pulling raise."""
    found: dict[tuple[str, str], TestImage] = {("", ""): TestImage(tested)}
    for command in service.test.commands:
        where = (command.image, command.stage)
        if where not in found:
            found[where] = _place(client, service, run, command, credentials, progress)
    return tuple(found[command.image, command.stage] for command in service.test.commands)


def _place(
    client: Client,
    service: Service,
    run: RunName,
    command: TestCommand,
    credentials: CredentialsFor,
    progress: Progress,
) -> TestImage:
    if command.image:
        return TestImage(*obtain(client, command.image, credentials, progress))
    tag = stage_tag(service, run, command.stage)
    try:
        image = images.inspect(client, tag)
    except NotFound:
        image = None
    if image is None or run_of(image.labels) != run:
        hint = "Run `relman build` first, on this machine and with the same --run."
        raise UsageError(f"the engine has no stage {command.stage} of run {run}: {tag}", hint=hint)
    return TestImage(image, str(images.config_digest(client, image.id)))


def require_all_started(client: Client, run: RunName, stage: TestStage, where: tuple[TestImage, ...]) -> TestStage:
    """The stage, in which each command is either known to be started by its image's ENTRYPOINT, or must prove it with
    result files. Raises TestsFailed if one does neither, EngineError or Unreachable."""
    commands = list(stage.commands)
    for place in dict.fromkeys(p.image.id for p in where):
        here = [i for i, p in enumerate(where) if p.image.id == place]
        part = replace(stage, commands=tuple(commands[i] for i in here))
        if not require_started(client, run, part, where[here[0]].image):
            for i, command in zip(here, with_proof(part).commands, strict=True):
                commands[i] = command
    return replace(stage, commands=tuple(commands))
