"""Part of `relman check`: whether a service's test commands can run in its image, judged by the Dockerfile alone."""

from __future__ import annotations

from pathlib import Path

from relman.ci.build.base_image import dockerfile_of, text_of
from relman.ci.dockerfile import lacks_shell, stage_names
from relman.ci.entrypoint.checkout import unseen_here
from relman.ci.entrypoint.judge import shown
from relman.model.errors import Problem
from relman.model.service import Service


def missing_stages(service: Service, file: str) -> list[Problem]:
    """A problem for each `stage` of a test command that the Dockerfile does not define; `file` is the service's
    relman.yml."""
    known = stage_names(text_of(service))
    return [
        Problem(file, 0, 0, f"test.commands[{number}].stage", f"{dockerfile_of(service)} has no stage {command.stage}")
        for number, command in enumerate(service.test.commands)
        if command.stage and command.stage not in known
    ]


def doubt(service: Service) -> str:
    """Why the test commands may not run, judged by the files of the checkout; "" if there is no sign of it."""
    text = text_of(service)
    inside = [command for command in service.test.commands if not command.beside]
    if inside and lacks_shell(text, service.build.args, service.build.target):
        return (
            f"test command {inside[0].title} may not be in the image, which has no shell: name under test.commands[] "
            "the `stage` of the Dockerfile, or the `image`, in which it runs; or say `smoke: true`"
        )
    unproved = [command for command in inside if not command.junit]
    if service.test.entrypoint is not None or not unproved:
        return ""
    entrypoint, why = unseen_here(text, Path(service.root) / service.build.context, service.build.target)
    if not why:
        return ""
    return (
        f"test command {unproved[0].title} may only be arguments of the image's ENTRYPOINT {shown(entrypoint)} "
        f"({why}, in this checkout); where the built image does not show that it starts them, `relman test` ends with "
        "exit code 9. Say under `test`: entrypoint: [], image, or a list of words"
    )
