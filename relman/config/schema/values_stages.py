"""Parsers of single values in the build and test sections of relman.yml."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from relman.config.schema.values import absolute_path, by_model, matching, word
from relman.config.schema.values_container import mount
from relman.config.schema.values_names import ENGINE_NAME
from relman.config.suggestions import shown
from relman.model.errors import UsageError
from relman.model.image import ImageRef, ManifestDigest, Repository, check_tag
from relman.model.reference import names_registry
from relman.model.release_tag import fill
from relman.model.service import IMAGE_ENTRYPOINT
from relman.model.settings import Mount

# Forbidden in a tag's name: https://git-scm.com/docs/git-check-ref-format
_NO_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|^[-/.]|/\.|\.lock(/|$)|[/.]$")
_STAGE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_REMOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]*")


def release(value: object) -> str:
    """A release of another team: NAME@TAG in this file's registry, or REGISTRY/NAME@TAG; a digest may replace the
    tag."""
    found = word(value)
    by_model(lambda: str(release_in(found, "localhost")))
    return found


def release_in(text: str, registry: str) -> ImageRef:
    """The image of NAME@TAG in `registry`, or of REGISTRY/NAME@TAG. Raises UsageError."""
    name, at, tag = text.partition("@")
    if not at:
        raise UsageError("expected NAME@TAG or REGISTRY/NAME@TAG, such as database-schema@stable")
    first, slash, _ = name.partition("/")
    elsewhere = slash and names_registry(first)
    found = Repository.parse(name) if elsewhere else Repository(registry, name)
    return ImageRef(found, ManifestDigest(tag) if ":" in tag else check_tag(tag))


def test_mount(value: object) -> Mount:
    """Like `mount`, but the source may also be a path that starts with ./ (relative to relman.yml)."""
    beside = isinstance(value, str) and value.startswith("./")
    found = mount(value[1:] if beside and isinstance(value, str) else value)
    made = Mount(f".{found.source}" if beside else found.source, found.target, found.read_only)
    if (found.selinux, found.propagation, found.nocopy) != (made.selinux, made.propagation, made.nocopy):
        raise ValueError(f"expected no other option than ro or rw in tests, found {shown(value)}")
    return made


def tmpfs(value: object) -> tuple[str, str]:
    """`PATH` or `PATH:OPTIONS`, as in `docker run --tmpfs`."""
    place, _, options = word(value).partition(":")
    return absolute_path(place), options


def paths(value: object) -> tuple[str, ...]:
    """One path or a list of paths."""
    if isinstance(value, list) and value:
        return tuple(word(item) for item in value)
    return (word(value),)


def entrypoint(value: object) -> tuple[str, ...] | str:
    """The entrypoint of test commands: the image's ENTRYPOINT, other words, or none."""
    if value == IMAGE_ENTRYPOINT:
        return IMAGE_ENTRYPOINT
    if isinstance(value, list):
        return tuple(word(item) for item in value)
    raise ValueError(f"expected {IMAGE_ENTRYPOINT}, [] or a list of words, found {shown(value)}")


def retries(value: object) -> int:
    """A number of retries, 0 to 10."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10:
        return value
    raise ValueError(f"expected a number of retries from 0 to 10, found {shown(value)}")


def stage(value: object) -> str:
    """The name of a Dockerfile stage; Docker ignores its case."""
    return matching(_STAGE, word(value), "the name of a stage of the Dockerfile: FROM … AS NAME").lower()


def secret_id(value: str) -> str:
    """The id of a build secret."""
    return matching(ENGINE_NAME, value, "a secret's id: letters, digits, _ . - and a letter or digit first")


def index_url(value: object) -> str:
    """The https URL of a package index, without a user."""
    found = word(value)
    try:
        parts = urlsplit(found)
        good = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and not set(found) & set(" \\")
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise ValueError(f"expected a URL such as https://packages.example.com/, found {shown(found)}")
    if "@" in parts.netloc:
        raise ValueError("no user or password belongs here: set RELMAN_INDEX_USERNAME and RELMAN_INDEX_PASSWORD")
    return found


def git_tag(value: object) -> str:
    """The name of a git tag, with {build}, {job}, {commit} and {version} as placeholders for the run's values."""
    found = word(value)
    sample = fill(found, lambda _: "x")
    if _NO_REF.search(sample) or sample == "@":
        raise ValueError(f"git allows no tag of that name: {shown(found)}")
    return found


def remote(value: object) -> str:
    """The name of a git remote."""
    return matching(_REMOTE, word(value), "the name of a git remote, such as origin")


def http_status(value: object) -> int:
    """An HTTP status."""
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return value
    raise ValueError(f"expected a status from 100 to 599, found {shown(value)}")
