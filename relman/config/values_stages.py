"""Read single values of the build and test sections of relman.yml, as relman.config.values does."""

from __future__ import annotations

from relman.config.values import ENGINE_NAME, absolute_path, by_model, matching, mount, word
from relman.config.words import shown
from relman.model.errors import UsageError
from relman.model.image import ImageRef, ManifestDigest, Repository, check_tag
from relman.model.settings import Mount


def release(value: object) -> str:
    """Another team's release: NAME@TAG in the registry of this file, or REGISTRY/NAME@TAG; a digest may be the tag."""
    found = word(value)
    by_model(lambda: str(release_in(found, "localhost")))
    return found


def release_in(text: str, registry: str) -> ImageRef:
    """The image that NAME@TAG means in `registry`, or REGISTRY/NAME@TAG anywhere. Raises UsageError."""
    name, at, tag = text.partition("@")
    if not at:
        raise UsageError("expected NAME@TAG or REGISTRY/NAME@TAG, such as database-schema@stable")
    first, slash, _ = name.partition("/")
    elsewhere = slash and (first == "localhost" or set(first) & set(".:"))
    found = Repository.parse(name) if elsewhere else Repository(registry, name)
    return ImageRef(found, ManifestDigest(tag) if ":" in tag else check_tag(tag))


def test_mount(value: object) -> Mount:
    """As `mount`, and the source may be a path that starts with ./ (relative to relman.yml)."""
    if isinstance(value, str) and value.startswith("./"):
        found = mount(value[1:])
        return Mount(f".{found.source}", found.target, found.read_only)
    return mount(value)


def tmpfs(value: object) -> tuple[str, str]:
    """`PATH` or `PATH:OPTIONS`, as `docker run --tmpfs` takes it."""
    place, _, options = word(value).partition(":")
    return absolute_path(place), options


def paths(value: object) -> tuple[str, ...]:
    """One path or a list of paths."""
    if isinstance(value, list) and value:
        return tuple(word(item) for item in value)
    return (word(value),)


def retries(value: object) -> int:
    """How often something may be tried again, 0 to 10."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10:
        return value
    raise ValueError(f"expected a number of retries from 0 to 10, found {shown(value)}")


def secret_id(value: str) -> str:
    """The id of a build secret."""
    return matching(ENGINE_NAME, value, "a secret's id: letters, digits, _ . - and a letter or digit first")
