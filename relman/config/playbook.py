"""Read a playbook."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relman.config import deploy_variables, yaml
from relman.config.suggestions import did_you_mean
from relman.config.yaml_document import Document, KeyPath
from relman.model.errors import ConfigError, Problem, UsageError
from relman.model.playbook import OUTPUTS, Command, Playbook

_LITERAL = ("name", "timeout", "wait")


def load_playbook(path: Path | str) -> Playbook:
    """Load a playbook. Raises UsageError if the file does not exist, ConfigError with all problems in it."""
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"there is no playbook {file}", hint="Name a YAML file, such as playbooks/release.yml.")
    return parse_playbook(file.read_bytes(), str(file))


def parse_playbook(data: bytes, file: str) -> Playbook:
    """Parse the bytes of `file`. Raises ConfigError with all problems."""
    from pydantic import ValidationError

    from relman.config.schema.playbook import PlaybookFile
    from relman.config.schema.schema_errors import faults

    document = yaml.parse(data, file)
    problems = list(document.problems)
    try:
        checked = PlaybookFile.model_validate(document.tree)
    except ValidationError as error:
        problems += [document.problem(f.path, f.message, on_key=f.on_key) for f in faults(error, PlaybookFile)]
        raise ConfigError(problems) from None
    digest = hashlib.sha256(data).hexdigest()
    stages = tuple(stage.value() for stage in checked.stages)
    playbook = Playbook(file, digest, stages, checked.vars, checked.description)
    problems += _references(document, playbook)
    if problems:
        raise ConfigError(problems)
    return playbook


def variables_for(playbook: Playbook, given: Mapping[str, str]) -> dict[str, str]:
    """The variables of one run: the file's, overridden by `given`. Raises UsageError for an unknown variable, and for
    one without a value."""
    for name in given:
        if name not in playbook.variables:
            known = ", ".join(playbook.variables) or "none"
            raise UsageError(
                f"{playbook.file} has no variable {name}{did_you_mean(name, playbook.variables)}",
                hint=f"Its variables: {known}",
            )
    values = {**playbook.variables, **given}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        options = " ".join(f"-v {name}=VALUE" for name in missing)
        raise UsageError(f"{playbook.file} needs a value for {', '.join(missing)}", hint=f"Give it with {options}")
    return {name: value for name, value in values.items() if value is not None}


def _references(document: Document, playbook: Playbook) -> Iterator[Problem]:
    """Problems of variables that nothing sets, or that are set only by a later stage."""
    for number, (stage, known) in enumerate(zip(playbook.stages, playbook.known_before(), strict=True)):
        if isinstance(stage.action, Command) and stage.action.is_text:
            continue
        tree = document.tree["stages"][number]
        for path, text in _texts(tree, ("stages", number)):
            try:
                unknown = [name for name in deploy_variables.names(text) if name not in known]
            except ValueError as error:
                yield document.problem(path, str(error))
                continue
            yield from (document.problem(path, _unknown(name, known)) for name in unknown)


def _unknown(name: str, known: frozenset[str]) -> str:
    if name in OUTPUTS:
        return f"{name} is known only after a stage ci or promote; or declare it under vars"
    return f"nothing sets the variable {name}{did_you_mean(name, known)}"


def _texts(tree: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every text in which variables are expanded, with its path."""
    if isinstance(tree, str):
        yield path, tree
    elif isinstance(tree, list):
        for i, item in enumerate(tree):
            yield from _texts(item, (*path, i))
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if len(path) > 2 or key not in _LITERAL:
                yield from _texts(value, (*path, key))
