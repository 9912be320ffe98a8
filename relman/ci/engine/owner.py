"""Whose an object of the engine is: the labels that say of which run, service and matrix job it is."""

from __future__ import annotations

from collections.abc import Mapping

from relman.model.container import MATRIX, RUN, SERVICE_NAME
from relman.model.errors import UsageError
from relman.model.run import RunName

# Containers inherit their image's labels, so `relman.run` alone would also be found on a container in production.
TEMPORARY = "relman.temporary"


def labels(run: RunName) -> dict[str, str]:
    """The labels of every container, network and volume that lives only as long as `run`."""
    return built_by(run) | {TEMPORARY: str(run)}


def built_by(run: RunName) -> dict[str, str]:
    """The labels of an image that `run` built, whatever its base says."""
    return {RUN: str(run), SERVICE_NAME: run.service, MATRIX: run.matrix}


def run_of(labels: Mapping[str, str] | None) -> RunName | None:
    """The run that these labels name, with its service and matrix job; None where they name none."""
    found = labels or {}
    try:
        return RunName.parse(found.get(RUN, ""), found.get(SERVICE_NAME, ""), found.get(MATRIX, ""))
    except UsageError:
        return None
