"""Which services of a compose file are one image: those with the same build, and those that name its image."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, replace

from relman.config.compose.model import ComposeService, ImageBuild, Project

_DONE = "service_completed_successfully"


@dataclass(frozen=True)
class BuiltImage:
    """One image that is built here: `processes` keep running, `tasks` have to end before others begin."""

    name: str
    file: str
    build: ImageBuild
    processes: tuple[ComposeService, ...]
    tasks: tuple[ComposeService, ...] = ()

    @property
    def services(self) -> tuple[ComposeService, ...]:
        """All services of the image."""
        return (*self.processes, *self.tasks)


def images(project: Project) -> list[BuiltImage]:
    """The images that are built here. One alone is called as the project is, and stands in relman.yml."""
    groups: dict[ImageBuild, list[ComposeService]] = {}
    for service in project.services.values():
        if not service.profiles and (build := _build_of(project, service)):
            groups.setdefault(build, []).append(service)
    ended = {n for s in project.services.values() for n, condition in s.depends_on.items() if condition == _DONE}
    found = []
    for number, (build, services) in enumerate(groups.items()):
        tasks = tuple(s for s in services if s.name in ended and s.keys.get("command"))
        running = tuple(s for s in services if s not in tasks) or tuple(services)
        own = _service_name(running[0].name)
        name = _service_name(project.name) if len(groups) == 1 else f"{_service_name(project.name)}-{own}"
        file = "relman.yml" if number == 0 else f"relman-{own}.yml"
        found.append(BuiltImage(name, file, build, running, () if running == tasks else tasks))
    return found


def rest(project: Project) -> list[str]:
    """The names of all services whose images are others'."""
    return [name for name, service in project.services.items() if not _build_of(project, service)]


def _build_of(project: Project, service: ComposeService) -> ImageBuild | None:
    """What the service's image is built from, be it another service that builds it."""
    if build := service.build:
        platform = build.platform or str(service.keys.get("platform") or "")
        return replace(build, context=posixpath.normpath(build.context), platform=platform)
    same = (s for s in project.services.values() if s.build and s.image and s.image == service.image)
    return next((_build_of(project, s) for s in same), None)


def process_name(service: ComposeService) -> str:
    """The service's name as a process's."""
    return re.sub(r"[^a-z0-9]+", "-", service.name.lower()).strip("-")[:32].strip("-") or "main"


def _service_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "service"
