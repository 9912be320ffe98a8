"""The files of deploy.files: read when the deploy section is frozen, so that they travel with the image."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from relman.config import repository_file
from relman.config.yaml_document import KeyPath
from relman.model.errors import ConfigError, Problem
from relman.model.files import LARGEST, too_large
from relman.model.service import Service


def file_contents(service: Service) -> dict[str, bytes]:
    """The contents of a service's files, by their names in model.files. Raises ConfigError."""
    contents = {
        posixpath.normpath(name): repository_file.read(service.root, name, LARGEST) for _, name in _named(service)
    }
    if why := too_large(contents):
        raise ConfigError([Problem("relman.yml", 0, 0, "deploy.files", why)])
    return contents


def wrong_files(service: Service) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with the files themselves, each with the path of its key."""
    faults = [
        ((*path, name), fault)
        for path, name in _named(service)
        if (fault := repository_file.fault(service.root, name, LARGEST))
    ]
    yield from faults
    if not faults:
        try:
            file_contents(service)
        except ConfigError as error:
            yield ("deploy", "files"), error.problems[0].message


def _named(service: Service) -> Iterator[tuple[KeyPath, str]]:
    """Each file as written, with the path of its section."""
    for path, section in repository_file.sections(service):
        yield from (((*path, "files"), name) for name in section.get("files", {}))
