"""Read a policy, from an inventory, relman.yml, or its own file."""

from __future__ import annotations

import json
from pathlib import Path

from relman.config import yaml
from relman.config.schema.values import Faults
from relman.model.errors import ConfigError
from relman.model.policy import Policy


def read_policy(value: object, origin: str = "") -> Policy:
    """Read a list of rules. Raises Faults, with the path to each."""
    from relman.config.schema.policy import PolicyFile
    from relman.config.schema.schema_errors import valid_at

    rule = valid_at(PolicyFile, "policy", value).value()
    return Policy(rule, json.dumps(value, sort_keys=True, separators=(",", ":")), origin)


def load_policy(path: Path | str) -> Policy:
    """Load a policy file. Raises UsageError if it cannot be read, ConfigError with all problems."""
    document = yaml.read(Path(path))
    if document.problems:
        raise ConfigError(list(document.problems))
    try:
        return read_policy(document.tree, str(path))
    except Faults as error:
        raise ConfigError([document.problem(at, message) for at, message in error.faults]) from None
