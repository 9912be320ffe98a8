"""The contract suite's registries, and the CI machine of the lab."""

from tests.contract.ci_fixtures import engine_client, run, shop
from tests.contract.registry_fixture import (
    bearer,
    bearer_registry,
    place,
    plain_registry,
    real_registry,
    registry,
    repository,
    simulated,
    simulator,
)

__all__ = [
    "bearer",
    "bearer_registry",
    "engine_client",
    "place",
    "plain_registry",
    "real_registry",
    "registry",
    "repository",
    "run",
    "shop",
    "simulated",
    "simulator",
]
