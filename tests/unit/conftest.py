"""Property tests search the same way on every machine, however slow it is today."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "relman", deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("relman")
