"""Test reports to make statements of."""

from __future__ import annotations

from relman.model.image import Platform
from relman.model.run import CommandResult, Commit, RunName, TestReport
from relman.registry.manifest import Manifest
from tests.unit.values import hexes

AMD64 = Platform("linux", "amd64")


def report(manifest: Manifest, *, exit_code: int = 0, platform: Platform = AMD64) -> TestReport:
    """What run shop/118 found in the image of `manifest`, for `platform`."""
    return TestReport(
        run=RunName("shop", "118", "shop"),
        service="shop",
        config=manifest.config,
        platform=platform,
        commit=Commit("c0ffee", "master", "https://git.example/shop"),
        commands=(CommandResult(("pytest", "-q", "a test"), exit_code, 1.5),),
        services={"db": f"10.77.0.254:5000/schema@sha256:{hexes('db')}"},
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:01:00Z",
    )
