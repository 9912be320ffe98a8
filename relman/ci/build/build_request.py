"""The input of a builder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relman.model.service import Service


@dataclass(frozen=True)
class BuildOrder:
    """A service to build: the tag and labels of its image, and the logins, by Docker's key of the registry, for
    everything that the build may pull."""

    service: Service
    tag: str
    labels: Mapping[str, str]
    logins: Mapping[str, Mapping[str, Any]]
