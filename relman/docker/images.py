"""What an engine answers about images, read into the model. Pure."""

from __future__ import annotations

from typing import Any

from relman.docker.fields import Fields
from relman.model.container import Image
from relman.model.image import Platform
from relman.model.image_config import declares_healthcheck, variables


def image(data: Any) -> Image:
    """From GET /images/NAME/json."""
    found = Fields.of(data)
    config = found.fields("Config")
    return Image(
        id=found.image_id("Id"),
        repo_tags=found.texts("RepoTags"),
        repo_digests=found.texts("RepoDigests"),
        platform=Platform(
            found.text("Os", needed=True), found.text("Architecture", needed=True), found.text("Variant")
        ),
        labels=config.pairs("Labels"),
        volumes=tuple(sorted(config.fields("Volumes"))),
        exposed_ports=config.ports("ExposedPorts"),
        env=variables(config.texts("Env")),
        has_healthcheck=declares_healthcheck(config.fields("Healthcheck").texts("Test")),
        entrypoint=config.texts("Entrypoint"),
        directory=config.text("WorkingDir") or "/",
    )


def digest_in_registry(data: Any) -> str:
    """From GET /distribution/NAME/json."""
    return Fields.of(data).fields("Descriptor").text("digest", needed=True)


def platforms_in_registry(data: Any) -> tuple[Platform, ...]:
    """From GET /distribution/NAME/json."""
    keys = ("os", "architecture", "variant")
    return tuple(Platform(*map(each.text, keys)) for each in Fields.of(data).each("Platforms"))


def layers(data: Any) -> tuple[str, ...]:
    """From GET /images/NAME/json: the digests of its unpacked layers, lowest first."""
    return Fields.of(data).fields("RootFS").texts("Layers")


def listed_images(rows: Any) -> list[Image]:
    """From GET /images/json, which tells names and no configuration."""
    return [
        Image(row.image_id("Id"), row.texts("RepoTags"), row.texts("RepoDigests"), Platform("", ""))
        for row in Fields.all_of(rows)
    ]
