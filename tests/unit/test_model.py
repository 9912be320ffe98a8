"""The model's values keep their identities apart and survive their JSON form."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.model.container import Image
from relman.model.errors import UsageError
from relman.model.image import (
    ConfigDigest,
    Digest,
    ImageId,
    ImageRef,
    ManifestDigest,
    Platform,
    Repository,
    check_tag,
)
from relman.model.reference import familiar
from relman.model.settings import DeploySettings
from relman.model.settings_diff import HOW, RUN
from relman.model.state_dir.record import HostRecord, kept_in
from tests.unit.values import deployed, records

SAME = "sha256:" + "a" * 64


def test_digests_of_different_kinds_are_never_equal() -> None:
    """A config digest is no manifest digest, even with the same digits."""
    kinds: set[Digest] = {ConfigDigest(SAME), ManifestDigest(SAME), ImageId(SAME)}
    assert len(kinds) == 3
    assert ConfigDigest(SAME) == ConfigDigest(SAME)


@pytest.mark.parametrize("bad", ["", "sha256:", "sha256:" + "A" * 64, "sha512:" + "a" * 64, SAME + "\n", "a" * 64])
def test_what_is_no_digest_is_refused(bad: str) -> None:
    """Only sha256 with 64 lower-case digits is a digest."""
    with pytest.raises(UsageError):
        ManifestDigest(bad)


@pytest.mark.parametrize("bad", ["", "-x", ".x", "a b", "a;b", "$(id)", "a/b", "x" * 129, "a\n"])
def test_what_is_no_tag_is_refused(bad: str) -> None:
    """Shell metacharacters and the like never get into a reference."""
    with pytest.raises(UsageError):
        check_tag(bad)


def test_references_keep_a_registry_port_and_a_tag_apart() -> None:
    """The last colon is a tag's only after the last slash."""
    ref = ImageRef.parse("10.0.0.1:5000/team/shop:118")
    assert (ref.repository, ref.reference) == (Repository("10.0.0.1:5000", "team/shop"), "118")
    with pytest.raises(UsageError):
        ImageRef.parse("10.0.0.1:5000/team/shop")


@pytest.mark.parametrize("hub", ["docker.io", "index.docker.io"])
def test_an_image_of_docker_hub_is_found_on_an_engine(hub: str) -> None:
    """Whose list does not name that registry, nor its `library`."""
    named = {"library/haproxy": "haproxy", "team/shop": "team/shop"}
    assert {familiar(f"{hub}/{name}:1") for name in named} == {f"{shown}:1" for shown in named.values()}
    assert familiar("r.example.com/library/shop:1") == "r.example.com/library/shop:1"
    entry = dataclasses.replace(deployed("0"), repository=Repository(hub, "library/shop"))
    shown = Image(entry.image_id, (), (f"shop@{entry.manifest}",), Platform("linux", "amd64"))
    assert kept_in([shown], entry) == f"{hub}/library/shop@{entry.manifest}"


@given(records())
def test_a_record_survives_its_json_form(record: HostRecord) -> None:
    """What a host stores is what is read back."""
    assert HostRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@given(records(), st.data())
def test_returning_to_an_entry_takes_the_proof_of_everything_newer(record: HostRecord, data: st.DataObject) -> None:
    """After a rollback nothing newer than the serving release counts as proven good."""
    entry = data.draw(st.sampled_from(record.entries)) if record.entries else deployed("0")
    after = record.returned(entry)
    place = [e.id for e in after.entries].index(entry.id)
    assert after.serving == entry
    assert not any(e.proven for e in after.entries[place + 1 :])


def test_every_setting_either_makes_another_container_or_does_not() -> None:
    """No key of the deploy section is forgotten where two settings are compared: one would never roll out."""
    assert sorted([*RUN, *HOW]) == sorted(f.name for f in dataclasses.fields(DeploySettings))
