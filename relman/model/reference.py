"""Parse image references as Docker does: `[REGISTRY/]NAME[:TAG][@DIGEST]` (https://github.com/distribution/reference).

`Repository` and `ImageRef` (relman.model.image) are full references, which always name the registry.
"""

from __future__ import annotations

from relman.model.image import HUB, HUB_NAMES


def names_registry(first: str) -> bool:
    """Whether the part before the first `/` is a registry's host[:port], rather than part of a name on Docker Hub."""
    return first == "localhost" or bool(set(first) & set(".:"))


def registry_of(reference: str) -> str:
    """The registry's host[:port]; Docker Hub's if none is named."""
    first, slash, _ = reference.partition("/")
    return first if slash and names_registry(first) else HUB


def familiar(reference: str) -> str:
    """The reference as engines show it, in which Docker Hub is not named."""
    first, slash, rest = reference.partition("/")
    return rest.removeprefix("library/") if slash and first in HUB_NAMES else reference


def repository_of(reference: str) -> str:
    """The reference without its tag and digest."""
    name = reference.partition("@")[0]
    return name[: -len(tag) - 1] if (tag := tag_of(name)) else name


def tag_of(reference: str) -> str:
    """The tag; "" if there is none."""
    _, colon, tag = reference.partition("@")[0].rpartition(":")
    return tag if colon and "/" not in tag else ""


def digest_of(reference: str) -> str:
    """The digest, `sha256:…`; "" if there is none."""
    return reference.partition("@")[2]
