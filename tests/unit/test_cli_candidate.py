"""For which hosts one release can be deployed."""

from __future__ import annotations

import pytest

from relman.app.deployments.select_release import one_platform
from relman.model.errors import PreflightFailed
from relman.model.image import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def test_hosts_of_one_platform_agree() -> None:
    """The platform is the hosts' own."""
    assert one_platform({"h1": ARM64, "h2": ARM64}, {}, "shop:118") == ARM64


def test_a_host_without_a_tested_image_is_named_with_the_reason() -> None:
    """And only that one, whatever else there is to say about the fleet."""
    with pytest.raises(PreflightFailed) as caught:
        one_platform({"h1": AMD64, "h2": ARM64}, {ARM64: "its image was not tested"}, "shop:118")
    assert caught.value.details == ("h2: the host is linux/arm64: its image was not tested",)


def test_a_mixed_fleet_is_refused_and_told_the_way() -> None:
    """One deployment is for one platform."""
    with pytest.raises(PreflightFailed, match="one platform") as caught:
        one_platform({"h1": AMD64, "h2": ARM64}, {}, "shop:118")
    assert caught.value.details == ("h1: linux/amd64", "h2: linux/arm64")
    assert "--only" in caught.value.hint
