"""The supported CI systems, one file each. Pure: texts from the variables of their jobs."""

from __future__ import annotations

from collections.abc import Mapping

from relman.config.ci_systems.github import GITHUB
from relman.config.ci_systems.gitlab import GITLAB
from relman.config.ci_systems.jenkins import JENKINS
from relman.config.ci_systems.system import NONE, System

SYSTEMS: Mapping[str, System] = {"jenkins": JENKINS, "github": GITHUB, "gitlab": GITLAB}


def system_of(env: Mapping[str, str]) -> System:
    """The CI system whose job this is; NONE outside a job and in another system."""
    return next((system for system in SYSTEMS.values() if system.is_here(env)), NONE)


__all__ = ["NONE", "SYSTEMS", "System", "system_of"]
