"""The release that a deployment is of."""

from __future__ import annotations

from relman.cli.render import Output
from relman.evidence.facts import Check
from relman.evidence.gates.statements import binding
from relman.evidence.release import examine, find_release
from relman.model.image import Repository
from relman.model.run import Release
from relman.registry.client import Registry


def release_called(registry: Registry, repository: Repository, tag: str, check: Check, output: Output) -> Release:
    """The release under `tag`, if every gate lets it pass; a channel, which moves on, is the release that it stands for
    now, by that one's own name. Raises what find_release does."""
    examined = examine(registry, repository, tag, check=check)
    examined.decision.require()
    bound = binding(examined.facts)
    if bound is None or bound.tag == tag:
        return examined.release
    output.note(f"{tag} is the release {bound.tag}")
    return find_release(registry, repository, bound.tag, check=check)
