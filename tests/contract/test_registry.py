"""What the registry client promises, against the real registry and the simulator."""

from __future__ import annotations

import pytest

from relman.model.errors import AccessDenied, RegistryError, TagMoved, UnknownTag, UsageError
from relman.model.image import Digest, ManifestDigest, Platform, Repository
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from relman.registry.images import describe
from relman.registry.manifest import DOCKER_MANIFEST, OCI_MANIFEST, Manifest
from relman.registry.retag import put_free, stands
from tests.contract.images import AMD64, ARM64, push_image, push_index
from tests.contract.registry_fixture import Place


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_manifests_come_back_byte_for_byte(registry: Registry, repository: Repository, media_type: str) -> None:
    """Both kinds of manifest come back with the bytes and media type that they went in with, by tag and by digest."""
    pushed = push_image(registry, repository, "1", media_type=media_type)
    assert registry.resolve(repository, "1") == pushed
    assert registry.resolve(repository, pushed.digest) == pushed


def test_unknown_things_are_unknown_tags(registry: Registry, repository: Repository) -> None:
    """A tag, a digest and a repository that are not there are each an UnknownTag, before and after a first push."""
    for reference in ("1", ManifestDigest.of(b"no such manifest")):
        with pytest.raises(UnknownTag, match="does not exist"):
            registry.resolve(repository, reference)
    with pytest.raises(UnknownTag, match="no repository"):
        registry.tags(repository)
    push_image(registry, repository, "1")
    with pytest.raises(UnknownTag):
        registry.resolve(repository, "2")


def test_a_wrong_password_is_access_denied(place: Place) -> None:
    """A wrong password is refused as such, for reading and for writing, and is not in the error."""
    repository = place.repository()
    with place.connect(Credentials(place.credentials.username, "not-the-password")) as registry:
        for attempt in (lambda: registry.resolve(repository, "1"), lambda: registry.put_blob(repository, b"x")):
            with pytest.raises(AccessDenied, match=place.credentials.username) as caught:
                attempt()
            assert "not-the-password" not in repr(caught.value) + caught.value.hint


def test_blobs_are_kept_once_and_bounded(registry: Registry, repository: Repository) -> None:
    """A blob can be put twice, is then there, comes back whole, and is refused above the reader's limit."""
    assert not registry.has(repository, Digest.of(b"content"))
    digest = registry.put_blob(repository, b"content")
    assert registry.put_blob(repository, b"content") == digest
    assert registry.has(repository, digest)
    assert registry.blob(repository, digest) == b"content"
    with pytest.raises(RegistryError, match="larger than 3 bytes"):
        registry.blob(repository, digest, limit=3)


def test_a_missing_blob_is_an_error_of_the_registry(registry: Registry, repository: Repository) -> None:
    """A blob that a manifest names is there, or the registry is broken."""
    push_image(registry, repository)
    with pytest.raises(RegistryError, match="404"):
        registry.blob(repository, Digest.of(b"never pushed"))


def test_manifest_of_missing_blobs_is_refused(registry: Registry, repository: Repository) -> None:
    """The registry's own words are shown when it refuses a manifest."""
    other = Repository(repository.registry, repository.name + "-other")
    manifest = push_image(registry, other)
    with pytest.raises(RegistryError, match="400") as caught:
        registry.put_manifest(repository, "1", manifest)
    assert "MANIFEST_BLOB_UNKNOWN" in caught.value.details[0]


def test_tags_are_listed(registry: Registry, repository: Repository) -> None:
    """All tags are listed, sorted."""
    for tag in ("b", "a", "10"):
        push_image(registry, repository, tag)
    assert registry.tags(repository) == ["10", "a", "b"]


def test_a_release_tag_stands_for_the_same_bytes_and_never_moves(registry: Registry, repository: Repository) -> None:
    """The release tag resolves to the very digest; doing it again does nothing; another digest is refused."""
    first, second = (push_image(registry, repository, labels={"n": n}) for n in "12")
    assert not stands(registry, repository, first, "118")
    put_free(registry, repository, first, "118")
    assert stands(registry, repository, first, "118")
    with pytest.raises(TagMoved):
        stands(registry, repository, second, "118")
    assert registry.resolve(repository, "118") == first


def test_a_channel_follows(registry: Registry, repository: Repository) -> None:
    """A moveable tag goes where it is sent."""
    for n in "12":
        manifest = push_image(registry, repository, labels={"n": n})
        registry.put_manifest(repository, "stable", manifest)
        assert registry.resolve(repository, "stable") == manifest


def test_describe_reads_the_configuration(registry: Registry, repository: Repository) -> None:
    """Labels, volumes, ports, HEALTHCHECK, platform and both digests are what the image says."""
    run = {
        "Volumes": {"/data": {}},
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Healthcheck": {"Test": ["CMD", "true"]},
    }
    manifest = push_image(registry, repository, "1", labels={"relman.deploy": "{}"}, run=run)
    image = describe(registry, repository, "1")
    assert image.manifest == image.resolved == manifest
    assert registry.blob(repository, image.config)
    assert image.labels == {"relman.deploy": "{}"}
    assert image.volumes == ("/data",)
    assert image.exposed_ports == ((53, "udp"), (8080, "tcp"))
    assert (image.has_healthcheck, image.platform) == (True, AMD64)
    assert image.created == "2026-01-02T03:04:05Z"


def test_an_index_gives_the_image_of_one_platform(registry: Registry, repository: Repository) -> None:
    """Each platform gets its own child; none or an unknown one is refused, and so is what is not for the platform."""
    children = {p: push_image(registry, repository, f"run-{p.architecture}", platform=p) for p in (AMD64, ARM64)}
    index = push_index(registry, repository, "1", children)
    for wanted, platform in {AMD64: AMD64, ARM64: ARM64, Platform("linux", "arm64"): ARM64}.items():
        image = describe(registry, repository, "1", wanted)
        assert (image.resolved, image.manifest) == (index, children[platform])
    with pytest.raises(UsageError, match="several platforms"):
        describe(registry, repository, "1")
    with pytest.raises(UnknownTag, match="s390x"):
        describe(registry, repository, "1", Platform("linux", "s390x"))
    with pytest.raises(UnknownTag, match="not for linux/arm64"):
        describe(registry, repository, "run-amd64", ARM64)


def test_what_is_no_image_is_not_described(registry: Registry, repository: Repository) -> None:
    """A manifest with another kind of configuration is refused as no container image."""
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": str(registry.put_blob(repository, b"{}"))}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {**empty, "size": 2}, "layers": []}
    registry.put_manifest(repository, "1", Manifest.of(document))
    with pytest.raises(UsageError, match="not a container image"):
        describe(registry, repository, "1")
