"""Read relman.yml."""

from __future__ import annotations

from pathlib import Path

from relman.config import yaml
from relman.config.deploy_files import wrong_files
from relman.config.env_file import missing_files
from relman.config.policy import read_policy
from relman.config.yaml_document import Document
from relman.model.errors import ConfigError, Problem, UsageError
from relman.model.policy import NO_POLICY
from relman.model.service import Service

FILE_NAME = "relman.yml"


def load_service(path: Path | str) -> Service:
    """Load the service of a relman.yml, or of the one in a directory.

    Raises UsageError if there is no such file, ConfigError with all problems in it.
    """
    file = _file(Path(path))
    return _service(yaml.read(file), str(file.parent))


def parse_service(data: bytes, file: str) -> Service:
    """Parse the bytes of `file`. Raises ConfigError with all problems."""
    return _service(yaml.parse(data, file), str(Path(file).parent))


def check_service(path: Path | str) -> list[Problem]:
    """All problems of a relman.yml, including missing files that it names; empty if it is valid.

    Raises UsageError if there is no such file.
    """
    file = _file(Path(path))
    try:
        document = yaml.read(file)
        service = _service(document, str(file.parent))
    except ConfigError as error:
        return list(error.problems)
    return _missing_files(document, service)


def _file(path: Path) -> Path:
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"there is no {file}", hint=f"Write a {FILE_NAME} at the root of the service's repository")
    return file


def _service(document: Document, root: str) -> Service:
    from pydantic import ValidationError

    from relman.config.schema.base import OPEN
    from relman.config.schema.schema_errors import faults
    from relman.config.schema.service import RelmanFile

    problems = list(document.problems)
    try:
        checked = RelmanFile.model_validate(document.tree, context=OPEN)
    except ValidationError as error:
        problems += [document.problem(f.path, f.message, on_key=f.on_key) for f in faults(error, RelmanFile)]
        raise ConfigError(problems) from None
    if problems:
        raise ConfigError(problems)
    written = document.tree.get("release", {}).get("policy")
    policy = NO_POLICY if written is None else read_policy(written, document.source.file)
    return checked.value(document.tree.get("deploy", {}), root, policy)


def _missing_files(document: Document, service: Service) -> list[Problem]:
    context = Path(service.root) / service.build.context
    problems = _missing_binds(document, service)
    faults = (*missing_files(service), *wrong_files(service))
    problems += [document.problem(path, fault) for path, fault in faults]
    if not context.is_dir():
        return [*problems, document.problem(("build", "context"), f"there is no directory {context}")]
    if not (file := context / service.build.dockerfile).is_file():
        return [*problems, document.problem(("build", "dockerfile"), f"there is no file {file}")]
    return problems


def _missing_binds(document: Document, service: Service) -> list[Problem]:
    """Problems of mounts from the repository that do not exist; other paths belong to the CI machine."""
    root = Path(service.root).resolve()
    return [
        document.problem(("test", "services", linked.alias, "volumes", i), f"there is no {mount.source}")
        for linked in service.test.services
        for i, mount in enumerate(linked.volumes)
        if mount.is_bind and Path(mount.source).is_relative_to(root) and not Path(mount.source).exists()
    ]
