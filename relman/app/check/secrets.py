"""Whether the inventory says where every secret of a service comes from."""

from __future__ import annotations

from collections.abc import Iterable

from relman.config.secrets.values import lacking
from relman.model.errors import Problem
from relman.model.grants.secrets import SourceKind
from relman.model.host import Environment


def missing_secrets(
    file: str, wanted: Iterable[str], environments: Iterable[Environment], service: str, *, sealed: bool
) -> list[Problem]:
    """What of a service's secrets a deployment to these environments could not find, as far as it shows without running
    or decrypting anything. Where files are `sealed`, nobody can tell whether a variable is in one of them."""
    names = tuple(wanted)
    problems: dict[Problem, None] = {}
    for environment in environments:
        if service not in environment.services:
            continue
        for name in names:
            without = [h.name for h in environment.hosts if name not in h.secrets]
            if without:
                said = f"relman_secrets of {', '.join(without)} in {environment.name} does not say where it comes from"
                problems[Problem(file, 0, 0, f"deploy.secrets.{name}", said)] = None
            for source in dict.fromkeys(h.secrets[name] for h in environment.hosts if name in h.secrets):
                if source.kind is SourceKind.VAULT and sealed:
                    continue
                if what := lacking(source) if source.is_for(service) else f"it is not for {service}":
                    at, line, column = source.origin.rsplit(":", 2)
                    problems[Problem(at, int(line), int(column), f"relman_secrets.{name}", what)] = None
    return list(problems)
