"""Reading what strangers put into a registry."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.model.errors import RegistryError, RelmanError
from relman.model.image import Digest
from relman.registry.images import platforms, read_config
from relman.registry.manifest import DOCKER_LIST, MANIFEST_TYPES, OCI_INDEX, OCI_MANIFEST, Manifest, size_in
from relman.registry.strictjson import MAX_DEPTH, load_object

CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": f"sha256:{'a' * 64}", "size": 2}
IMAGE = Manifest.of({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": []})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=9), json_values, max_size=5))
def test_json_objects_are_read(value: dict[str, Any]) -> None:
    """Every JSON object of moderate size comes back as it was written."""
    assert load_object(json.dumps(value, ensure_ascii=False).encode(), limit=1 << 20) == value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"1",
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"a": "\xff"}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 1} {}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 100000,
        b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
        b'{"a": "' + b"x" * 300000 + b'"}',
    ],
    ids=lambda content: content[:24],
)
def test_ambiguous_and_excessive_json_is_refused(content: bytes) -> None:
    """Duplicate keys, numbers and texts that are none, other encodings, depth and size are each refused."""
    with pytest.raises(ValueError, match=r"."):
        load_object(content, limit=200000)


@given(
    st.binary() | json_values.map(lambda v: json.dumps(v).encode()),
    st.sampled_from([*MANIFEST_TYPES, "", "text/plain"]),
)
def test_any_manifest_is_read_or_refused(content: bytes, media_type: str) -> None:
    """Whatever bytes are called a manifest, only relman's own errors come of them."""
    manifest = Manifest(content, media_type)
    for read in (lambda: manifest.config, lambda: manifest.list_of("layers"), lambda: platforms(manifest)):
        with suppress(RelmanError):
            read()


PARTS = st.dictionaries(st.sampled_from(["Labels", "Volumes", "ExposedPorts", "Healthcheck"]), json_values)
CONFIGURATIONS = st.fixed_dictionaries({"config": PARTS | json_values, "os": json_values, "created": json_values})


@given(st.binary() | CONFIGURATIONS.map(lambda v: json.dumps(v).encode()))
def test_any_configuration_is_read_or_refused(content: bytes) -> None:
    """Whatever the bytes of an image's configuration, only RegistryError comes of them."""
    with suppress(RegistryError):
        read_config(IMAGE, IMAGE, content)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"config": []}, "'config'"),
        ({"config": {"Labels": ["a"]}}, "'Labels'"),
        ({"config": {"Labels": {"relman.deploy": {"ports": []}}}}, "'relman.deploy'"),
        ({"config": {"Volumes": ["/data"]}}, "'Volumes'"),
        ({"config": {"ExposedPorts": {"99999/tcp": {}}}}, "'99999'"),
        ({"config": {"ExposedPorts": {"9" * 5000: {}}}}, "is not a port"),
        ({"config": {"Healthcheck": {"Test": "true"}}}, "'Test'"),
        ({"os": {"name": "linux"}}, "'os'"),
        ({"architecture": "x" * 129}, "'architecture'"),
        ({"created": "\x1b[2J"}, "'created'"),
        ({"created": 5}, "'created'"),
    ],
)
def test_a_configuration_of_wrong_types_is_the_image_s_error(document: dict[str, Any], said: str) -> None:
    """What is no mapping, list or text where it should be, or is not fit to be shown, is named with the image."""
    with pytest.raises(RegistryError, match="shop:118") as caught:
        read_config(IMAGE, IMAGE, json.dumps(document).encode(), "shop:118")
    assert said in caught.value.what


@pytest.mark.parametrize("size", [None, -1, True, "5", 1.5, 1 << 41])
def test_a_descriptor_without_a_size_is_an_error(size: object) -> None:
    """A size is a number of bytes that a blob can have."""
    assert size_in(CONFIG) == 2
    with pytest.raises(RegistryError, match="has no size"):
        size_in(CONFIG | {"size": size})


@pytest.mark.parametrize(
    "manifest",
    [
        Manifest(b'{"mediaType": "%s", "manifests": []}' % OCI_INDEX.encode(), OCI_MANIFEST),
        Manifest(b'{"config": {}, "layers": [], "manifests": []}', OCI_MANIFEST),
        Manifest(b'{"config": {}, "layers": [], "manifests": []}', DOCKER_LIST),
        Manifest(b'{"schemaVersion": 1}', "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ],
)
def test_a_manifest_has_one_meaning(manifest: Manifest) -> None:
    """A document that contradicts its media type, or is a manifest and an index at once, is refused."""
    with pytest.raises(RegistryError):
        _ = manifest.document


def test_a_healthcheck_switched_off_is_none() -> None:
    """HEALTHCHECK NONE in an image means that there is none."""
    for test, expected in ((["NONE"], False), ([""], False), ([], False), (["CMD", "true"], True)):
        content = json.dumps({"config": {"Healthcheck": {"Test": test}}}).encode()
        assert read_config(IMAGE, IMAGE, content).has_healthcheck is expected


def test_the_digest_is_that_of_the_bytes() -> None:
    """The same document always gives the same bytes, and their digest."""
    again = Manifest.of(dict(reversed(IMAGE.document.items())))
    assert again == IMAGE
    assert str(again.digest) == str(Digest.of(IMAGE.content))
