"""An index of several platforms: each host gets the image of its own, if that one was tested."""

from __future__ import annotations

from collections.abc import Sequence

from relman.evidence.promote import promote
from relman.model.image import ManifestDigest, Platform
from relman.registry.manifest import Manifest
from tests.contract.images import AMD64, ARM64, push_image, push_index
from tests.e2e.stage import ALL_AT_ONCE, Stage
from tests.unit.reports import report

RISCV = Platform("linux", "riscv64")


def _release(stage: Stage, tag: str, platforms: Sequence[Platform], tested: Platform) -> ManifestDigest:
    """Release an index of these platforms' images, of which one was tested; returns that one's digest. What runs on
    amd64 is real."""
    registry, repository = stage.registry(), stage.repository
    images: dict[Platform, Manifest] = {}
    for platform in platforms:
        name = f"run-{tag}-{platform.architecture}"
        if platform == AMD64:
            images[platform] = registry.resolve(repository, ManifestDigest(stage.image(name)[1]))
        else:
            images[platform] = push_image(registry, repository, name, platform=platform)
    index = push_index(registry, repository, f"run-{tag}", images)
    found = report(images[tested], platform=tested)
    promote(registry, repository, source=index.digest, report=found, release_tag=tag, channels=["several"])
    return images[tested].digest


def test_every_host_gets_the_tested_image_of_its_own_platform(stage: Stage) -> None:
    """Nobody has to say which: it is the host's, and what serves is that very image, also by the channel's name, after
    a rollback, and for who verifies it."""
    digest = _release(stage, "multi", [ARM64, AMD64], AMD64)
    stage.deploy("multi")
    stage.serve("multi-amd64")
    assert {row["manifest"] for row in stage.status()} == {str(digest)}
    stage.deploy("2")
    assert "several is the release multi" in stage.deploy("several", "--plan").out
    stage.rollback()
    assert {row["manifest"] for row in stage.status()} == {str(digest)}
    stage.relman("verify", "-e", "production")
    (listed,) = [
        row for row in stage.relman("releases", "-e", "production").out.splitlines() if row.startswith("multi")
    ]
    assert "all 3 hosts" in listed
    assert "may be deployed" in stage.relman("gate", "multi", "-e", "production", "--platform", "linux/amd64").out


def test_a_host_whose_platform_was_not_tested_is_refused_by_name(stage: Stage) -> None:
    """An image that is in the index but was not tested, and one that is not there at all: nothing is changed."""
    stage.deploy("1", *ALL_AT_ONCE)
    _release(stage, "elsewhere", [ARM64, AMD64], ARM64)
    _release(stage, "nowhere", [ARM64, RISCV], ARM64)
    for tag, why in (("elsewhere", "was not tested"), ("nowhere", "no image for linux/amd64")):
        for more in ((), ("--plan",)):
            said = stage.deploy(tag, *more, code=4).err
            assert all(f"{h.name}: the host is linux/amd64" in said for h in stage.lab.hosts)
            assert why in said
    stage.serve("1")


def test_an_index_of_which_nothing_was_tested_has_no_evidence(stage: Stage) -> None:
    """That is the policy's to refuse, as for any other image."""
    registry, repository = stage.registry(), stage.repository
    images = {p: push_image(registry, repository, f"run-bare-{p.architecture}", platform=p) for p in (AMD64, ARM64)}
    push_index(registry, repository, "bare", images)
    assert "evidence" in stage.deploy("bare", code=3).err
