"""What hosts keep has a version, which says which relman can read it; today's is read for ever."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from relman.model import container_settings, files, proxy, proxy_settings, settings, strategy
from relman.model.formats.untrusted_json import Misread, Newer, parse, read
from relman.model.formats.versions import VERSION, VERSION_1_KEYS, VERSION_2_KEYS, plain, version_of
from relman.model.grants import secrets
from relman.model.settings import DeploySettings, Healthcheck
from relman.model.state_dir import lock, record
from relman.model.state_dir.lock import Lock, Phase
from relman.model.state_dir.record import HostRecord
from tests.unit.values import records
from tests.unit.values import settings as any_settings

V1 = Path(__file__).with_name("version1")
NAMES = {**VERSION_1_KEYS, **VERSION_2_KEYS}
MODULES = (record, lock, settings, container_settings, strategy, secrets, files, proxy, proxy_settings)
KINDS = [
    getattr(module, name)
    for name in NAMES
    for module in MODULES
    if getattr(getattr(module, name, None), "__module__", "") == module.__name__
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_key_is_of_a_version(kind: Any) -> None:
    """A field or a word that is added is listed as version 2's, so that a writer says so; version 1's never change."""
    names = {str(m) for m in kind} if issubclass(kind, StrEnum) else {f.name for f in fields(kind)}
    assert names == VERSION_1_KEYS.get(kind.__name__, set()) | VERSION_2_KEYS.get(kind.__name__, set())


def test_no_class_of_what_is_kept_is_forgotten() -> None:
    """All that a record or a lock can hold, however deep, is in the list."""
    found: set[str] = set()

    def walk(kind: Any) -> None:
        if kind.__name__ not in found:
            found.add(kind.__name__)
            for name in {f.name for f in fields(kind)} if not issubclass(kind, StrEnum) else ():
                text = str(next(f.type for f in fields(kind) if f.name == name))
                for other in KINDS:
                    if other.__name__ in text.replace("[", " ").replace(",", " ").split():
                        walk(other)

    walk(HostRecord)
    walk(Lock)
    assert found == set(NAMES)
    assert {k.__name__ for k in KINDS} == set(NAMES)


def test_a_record_of_version_1_is_read() -> None:
    """What relman wrote before there was a version 2, with every setting: nothing is lost, and it is written back as it
    was."""
    data = parse((V1 / "record.json").read_bytes())
    found = HostRecord.from_json(data)
    assert found.serving
    assert found.serving.settings.strategy.check == strategy.Check("http://h1:8080/", None, 10.0)
    assert found.serving.settings.env["GREETING"] == 'Grüße\n"x"'
    assert (found.entries[0].settings, found.entries[0].verified) == (
        DeploySettings(stop_timeout=10, max_unavailable="1"),
        False,
    )
    assert found.left_out[0].reason == "its power supply burned"
    assert found.to_json() == data


@pytest.mark.parametrize(("name", "phase"), [("lock", Phase.CHANGING), ("lock-held", Phase.HELD)])
def test_a_lock_of_version_1_is_read(name: str, phase: Phase) -> None:
    """With what it means to do, and without."""
    data = parse((V1 / f"{name}.json").read_bytes())
    found = Lock.from_json(data, "production", "shop")
    assert (found.phase, bool(found.intent)) == (phase, phase is Phase.CHANGING)
    assert found.to_json() == data


def test_a_record_from_before_a_key_was_known_is_read() -> None:
    """Keys with a default may be missing: an older relman did not know them."""
    data = parse((V1 / "record.json").read_bytes())
    del data["left_out"], data["entries"][0]["skipped"], data["entries"][0]["settings"]["tasks"]
    assert HostRecord.from_json(data).entries[0].skipped == ()


@given(records())
def test_what_version_1_can_say_is_said_in_version_1(record: HostRecord) -> None:
    """Nothing of today's needs a newer reader."""
    assert record.to_json()["version"] == 1


LATER = (
    DeploySettings(secrets=(secrets.SecretRef("a", env="A"), secrets.SecretRef("b", "/b"))),
    DeploySettings(files=(files.DeployFile("a", "/a", "0" * 64),)),
    DeploySettings(healthcheck=Healthcheck(off=True)),
    DeploySettings(healthcheck=Healthcheck(False, ("true",), 1.0, 2.0, 3.0, 4)),
    DeploySettings(health=settings.Health(settings.Probe.HTTP, 80, host="x", headers={"A": "b"})),
    DeploySettings(health=settings.Health(settings.Probe.COMMAND, command=("true",))),
)


@pytest.mark.parametrize("found", LATER)
def test_what_version_1_cannot_say_is_said_in_version_2(found: DeploySettings) -> None:
    """And read back as it was."""
    assert version_of(found) == 2
    assert read(DeploySettings, json.loads(json.dumps(plain(found)))) == found


@dataclass(frozen=True)
class Health:
    """A health check of a later relman: one more field, and the name by which version 1 knows it."""

    port: int | None = None
    command: tuple[str, ...] = ()


class Probe(StrEnum):
    """A word more."""

    COMMAND = "command"


def test_a_later_key_is_said_in_a_later_version_or_not_at_all() -> None:
    """As long as it says nothing an older relman can read the rest; once it does, the version forbids that."""
    silent, telling = Health(80), Health(80, ("true",))
    assert (version_of(silent), plain(silent)) == (1, {"port": 80})
    assert (version_of((telling,)), plain(telling)) == (2, {"port": 80, "command": ["true"]})
    assert read(Health, plain(telling)) == telling
    assert version_of(replace(DeploySettings(), order=Probe.COMMAND)) == 2  # type: ignore[arg-type]


@given(any_settings())
def test_settings_survive_their_plain_form(found: DeploySettings) -> None:
    """What is written is what is read."""
    assert read(DeploySettings, json.loads(json.dumps(plain(found)))) == found


@pytest.mark.parametrize("version", [0, -1, True, "1", None, 1.0, [1]])
def test_what_is_no_version_is_nonsense(version: object) -> None:
    """And is not taken for a newer relman's."""
    with pytest.raises(Misread, match="version: expected a number from 1 to") as caught:
        HostRecord.from_json({"version": version})
    assert not isinstance(caught.value, Newer)


def test_a_newer_version_is_told_by_name() -> None:
    """Whatever else is in it; and an unknown key in a known version is a newer relman's, too."""
    with pytest.raises(Newer, match="written by a newer relman"):
        HostRecord.from_json({"version": VERSION + 1})
    data = parse((V1 / "record.json").read_bytes())
    data["entries"][1]["settings"]["health"]["flavour"] = 1
    with pytest.raises(Newer, match=r"^entries\[1\].settings.health.flavour: unknown key, written by a newer relman$"):
        HostRecord.from_json(data)
