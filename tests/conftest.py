"""What every test may ask for; property tests search the same way on every machine, however slow it is today."""

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.lab.fixtures"]

settings.register_profile(
    "relman", deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("relman")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs real machines."""
    for item in items:
        if "lab" in getattr(item, "fixturenames", ()):
            item.add_marker("lab")
