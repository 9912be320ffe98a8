"""The proxy of a host is made as the inventory says, kept so, and removed, on hosts in memory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from relman.model.errors import (
    Locked,
    MixedFleet,
    NotServing,
    PreflightFailed,
    ProxyDown,
    RelmanError,
    StepFailed,
    Unknown,
    Unreachable,
)
from relman.model.image import ImageId, ManifestDigest, Repository
from relman.model.proxy import HostProxy
from relman.model.settings import DeploySettings
from relman.rollout.fleet import Gathered, Session
from relman.rollout.images.proxy_image import ProxyImage
from relman.rollout.looking.condition import Condition
from relman.rollout.looking.status import look_at
from relman.rollout.proxy import apply as proxy
from relman.rollout.proxy.apply import Applied, Meant, conclude
from relman.rollout.proxy.build import doubt
from relman.rollout.proxy.certificates import read_certificate
from relman.rollout.proxy.maintenance import maintain
from relman.rollout.proxy.page import Page
from relman.rollout.proxy.status import status_of
from relman.rollout.state.locks import new_lock
from tests.unit.certificates import pem
from tests.unit.model_fleet import ModelFleet, World, killed, rebooted
from tests.unit.model_host import Died, ModelEngine, ModelHost
from tests.unit.model_proxy import CONFIG, PLACE, STATE, SUBNET
from tests.unit.values import FREE, PROXIED

NONE: Mapping[str, bytes] = MappingProxyType({})
WANTED = HostProxy("registry.example.com/haproxy:2.6", keep_alive=0.01)


def image(seed: str) -> ProxyImage:
    """An image of HAProxy that the registry has."""
    found = ProxyImage(Repository("registry.example.com", "haproxy"), ManifestDigest.of(seed.encode()))
    ModelEngine._image_of[str(found.manifest)] = ImageId(ManifestDigest.of(f"id {seed}".encode()).value)
    return found


class Bare:
    """A host on which nothing of a proxy is yet."""

    def __init__(self, settings: DeploySettings = FREE) -> None:
        self.world = World(1, settings)
        (self.host,) = self.world.hosts
        self.host.proxies, self.host.subnet, self.host.dynamic = {}, "", ""
        for path in [path for path in self.host.files if path.startswith(PLACE)]:
            del self.host.files[path]

    @property
    def session(self) -> Session:
        """A command's."""
        return ModelFleet(self.world.hosts).sessions["h1"]

    def apply(
        self, wanted: HostProxy = WANTED, seed: str = "1", pems: Mapping[str, bytes] = NONE, html: str = ""
    ) -> str:
        """Make it, and say what was done."""
        return self.applied(wanted, seed, pems, html).done

    def applied(
        self, wanted: HostProxy = WANTED, seed: str = "1", pems: Mapping[str, bytes] = NONE, html: str = ""
    ) -> Applied:
        """Make it."""
        certificates = tuple(read_certificate(name, pem, datetime.now(UTC)) for name, pem in pems.items())
        meant = Meant(wanted, image(seed), certificates, pems, Page(html.encode()) if html else None)
        return proxy.apply(self.session, meant, new_lock(self.world.asked(), "making"), lambda *_: None)

    def maintain(self, name: str = "production:shop", *, on: bool) -> str:
        """Let it answer in the place of the service, or not."""
        return maintain(self.session, name, new_lock(self.world.asked(), "maintaining"), on=on).done

    def remove(self) -> str:
        """Remove it."""
        return proxy.remove(self.session, new_lock(self.world.asked(), "removing")).done

    @property
    def loaded(self) -> str:
        """What the proxy has loaded."""
        assert self.host.proxy
        return self.host.proxy.loaded

    @property
    def is_whole(self) -> bool:
        """Whether the file is what the proxy has loaded."""
        return self.host.files[CONFIG][0].decode() == self.loaded

    @property
    def certificates(self) -> list[str]:
        """The files of its certificates."""
        found = [path.rpartition("/")[2] for path in self.host.files if path.startswith(f"{PLACE}/certificates/")]
        return [name for name in found if name.endswith(".pem")]

    @property
    def listed(self) -> list[str]:
        """Those that HAProxy is told to load."""
        (name,) = re.findall(r" crt-list /etc/relman-certificates/(\S+) strict-sni ", self.loaded)
        text = self.host.files[f"{PLACE}/certificates/{name}"][0].decode()
        return [line.removeprefix("/etc/relman-certificates/") for line in text.splitlines()]

    @property
    def kept(self) -> set[str]:
        """relman's tags of its images."""
        return {name for name in self.host.images if name.startswith("relman.kept/proxy:")}


def test_it_is_made_once() -> None:
    """Image, network with a fixed subnet, files and container; a second time nothing is changed but relman's lock."""
    bare = Bare()
    assert bare.apply() == f"runs {image('1').reference}"
    found = status_of(bare.session)
    assert (found.state, found.image, found.routes) == ("running", image("1").reference, ())
    assert bare.host.subnet == SUBNET
    assert bare.kept == {f"relman.kept/proxy:{image('1').manifest.short}"}
    made, files = bare.host.proxy, dict(bare.host.files)
    assert bare.apply() == "is as the inventory says"
    assert (bare.host.proxy, {name: data for name, (data, _) in bare.host.files.items()}) == (
        made,
        {name: data for name, (data, _) in files.items()},
    )


@pytest.mark.parametrize("settings", [FREE, PROXIED])
def test_it_can_die_at_any_moment(settings: DeploySettings) -> None:
    """Whatever change of the host was the first that no longer came: the next attempt makes it."""
    for at in range(1, 100):
        bare = Bare(settings)
        bare.world.before(at, killed)
        with contextlib.suppress(Died):
            bare.apply()
        done = bare.world.changes < at
        bare.world.calm()
        bare.apply()
        assert status_of(bare.session).state == "running"
        assert bare.host.dynamic
        assert {path for path in bare.host.files if path.startswith(PLACE)} == {CONFIG, STATE}, at
        if done:
            return
    raise AssertionError


def test_what_the_inventory_changes_is_loaded_and_a_new_image_replaces_it() -> None:
    """Routes stay, and an image that is not needed any more loses relman's tag."""
    bare = Bare(PROXIED)
    bare.apply()
    assert bare.world.deploy("1").error is None
    assert bare.apply(replace(WANTED, health="/up")) == "loaded its new configuration"
    assert bare.world.versions == ["1"]
    assert b"/up" in bare.host.files[CONFIG][0]
    assert bare.apply(replace(WANTED, health="/up"), "2") == f"was replaced, and runs {image('2').reference}"
    assert bare.world.versions == ["1"]
    assert bare.kept == {f"relman.kept/proxy:{image('2').manifest.short}"}
    (routed,) = status_of(bare.session).routes
    assert (routed.name, routed.ways) == ("production:shop", ("shop.example.com/",))


def test_nobody_notices_a_new_image() -> None:
    """The next container takes the listeners over before the one before ends, and answers for all that was routed."""
    bare = Bare(PROXIED)
    bare.apply()
    assert bare.world.deploy("1").error is None
    for seed in ("2", "3"):
        bare.world.before(0, lambda _: None)
        assert bare.apply(seed=seed).startswith("was replaced")
        assert (bare.world.versions, bare.world.dark) == (["1"], 0)
        assert len(bare.host.proxies) == 1
    assert bare.world.deploy("2").error is None
    assert bare.world.versions == ["2"]


@pytest.mark.parametrize("then", [killed, rebooted])
def test_a_replacement_can_die_at_any_moment(then: Callable[[ModelHost], None]) -> None:
    """Requests are answered all the time; as long as two proxies run no deployment begins, as one of them would not
    learn of it; and the next attempt leaves one."""
    for at in range(1, 100):
        bare = Bare(PROXIED)
        bare.apply()
        assert bare.world.deploy("1").error is None
        bare.world.before(at, then)
        with contextlib.suppress(Died, RelmanError):
            bare.apply(seed="2")
        done = bare.world.changes < at
        assert bare.world.dark == 0, at
        bare.world.calm()
        bare.host.reboot()
        assert bare.world.versions == ["1"], at
        if len([each for each in bare.host.proxies.values() if each.status == "running"]) > 1:
            assert status_of(bare.session).state != "running"
            with pytest.raises(PreflightFailed, match="the proxies cannot"):
                bare.world.deploy("2")
        bare.apply(seed="2")
        assert (bare.world.versions, len(bare.host.proxies)) == (["1"], 1), at
        assert bare.world.deploy("2").error is None
        assert status_of(bare.session).state == "running"
        if done:
            return
    raise AssertionError


def test_a_new_image_that_does_not_start_leaves_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on, and all is as it was."""
    monkeypatch.setattr(proxy, "_STARTED", 0.05)
    bare = Bare(PROXIED)
    bare.apply()
    assert bare.world.deploy("1").error is None
    before = bare.world.state()
    bare.host.sick = frozenset({str(ModelEngine._image_of[str(image("bad").manifest)])})
    with pytest.raises(StepFailed, match="the one before goes on"):
        bare.apply(seed="bad")
    assert bare.world.state() == before
    assert status_of(bare.session).state == "running"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("HAProxy version 2.5.14-e3a3ee8 2023/04/28", "HAProxy 2.5.14-e3a3ee8 is too old: relman needs 2.6 or later"),
        ("HA-Proxy version 1.8.19-1+deb10u3", "HAProxy 1.8.19-1+deb10u3 is too old"),
        ("nginx: invalid option: v", "is no image of HAProxy: haproxy -vv says nginx: invalid option: v"),
    ],
)
def test_an_image_that_is_no_good_is_refused(said: str, what: str) -> None:
    """By what HAProxy in it says of itself; the proxy that runs goes on."""
    bare = Bare()
    bare.apply()
    bare.host.haproxy = said
    loaded = bare.loaded
    with pytest.raises(PreflightFailed, match=re.escape(what)):
        bare.apply(seed="2")
    assert (bare.loaded, list(bare.host.proxies)) == (loaded, ["relman-proxy-1"])
    bare.apply()


def test_a_version_that_relman_is_not_tested_with_is_warned_about() -> None:
    """Where it is used first, and by a check as long as it runs; not of those that it is tested with."""
    bare = Bare()
    warnings = list[str]()
    for seed, version in enumerate(("2.6.12", "3.0.11", "3.3.1-dev", "3.2.26")):
        bare.host.haproxy = f"HAProxy version {version} 2026/10/17"
        warnings.append(bare.applied(seed=str(seed)).warning)
        assert doubt(bare.session) == warnings[-1]
    assert warnings == ["", "", "relman is tested with HAProxy 2.6, 3.0, 3.2, and this is 3.3.1-dev", ""]


def test_one_that_was_stopped_by_hand_comes_back() -> None:
    """With what it routed."""
    bare = Bare(PROXIED)
    bare.apply()
    assert bare.world.deploy("1").error is None
    assert bare.host.proxy
    bare.host.proxy.status = "exited"
    assert status_of(bare.session).state == "exited"
    assert bare.apply().startswith("was replaced")
    assert (bare.world.versions, status_of(bare.session).state) == (["1"], "running")


def test_what_is_written_and_not_loaded_is_seen() -> None:
    """Whoever changes the file alone."""
    bare = Bare()
    bare.apply()
    assert bare.host.proxy
    bare.host.proxy.loaded = bare.host.proxy.loaded.replace("sha256:", "sha256:0")
    assert status_of(bare.session).state == "written, but not loaded"


@pytest.mark.parametrize("reread", [False, True])
def test_a_configuration_that_was_edited_is_seen_and_overwritten(reread: bool) -> None:
    """Whether the proxy has read it again or not, its description says nothing of it; and whenever relman dies, status
    does not call it well before it is."""
    for at in range(1, 100):
        bare = Bare(PROXIED)
        bare.apply()
        assert bare.world.deploy("1").error is None
        proxy, edited = bare.host.proxy, bare.loaded.replace("shop.example.com", "example.com")
        assert proxy
        bare.host.files[CONFIG] = (edited.encode(), 0.0)
        if reread:
            proxy.restart()
        found = look_at(ModelFleet([bare.host]).sessions["h1"], "production", "shop", "this")
        assert (status_of(bare.session).state, found.state) == ("edited by hand", Condition.UNPROXIED)
        bare.world.before(at, killed)
        with contextlib.suppress(Died):
            assert bare.apply() == "loaded its new configuration"
        done = bare.world.changes < at
        bare.world.calm()
        assert (status_of(bare.session).state == "running") is ("shop.example.com" in bare.loaded and bare.is_whole)
        bare.apply()
        assert (status_of(bare.session).state, bare.world.versions) == ("running", ["1"])
        assert " hdr(host),field(1,:) -i shop.example.com\n" in bare.loaded
        assert bare.apply() == "is as the inventory says"
        if done:
            return
    raise AssertionError


def test_it_is_removed_when_nothing_is_routed() -> None:
    """While a service is behind it, it stays; then image, network and files go."""
    bare = Bare(PROXIED)
    bare.apply()
    assert bare.world.deploy("1").error is None
    with pytest.raises(PreflightFailed, match="production:shop"):
        bare.remove()
    assert bare.world.versions == ["1"]
    assert bare.world.remove().error is None
    assert bare.remove() == "was removed"
    assert (bare.host.proxy, bare.host.subnet, bare.kept) == (None, "", set())
    assert not {CONFIG, STATE} & bare.host.files.keys()
    assert bare.remove() == "was not there"


def test_a_renewed_certificate_is_loaded_and_the_one_before_is_gone() -> None:
    """Each has a file of its own, which only root and the user can read; without any there is no HTTPS."""
    bare = Bare()
    bare.apply()
    assert "https" not in bare.loaded
    for number in range(2):
        assert bare.apply(pems={"shop": pem("shop.example.com", serial=number + 1)}) == "loaded its new configuration"
        (file,) = bare.certificates
        assert bare.listed == [file]
        assert bare.host.owners[f"{PLACE}/certificates/{file}"][2] & 0o777 == 0o600
        assert [c.hosts for c in status_of(bare.session).certificates] == [("shop.example.com",)]
    assert bare.apply() == "loaded its new configuration"
    assert ("https" in bare.loaded, bare.certificates) == (False, [])


def test_a_certificate_that_is_not_loaded_leaves_the_one_before() -> None:
    """It routes as before, with what it had."""
    bare = Bare()
    bare.apply(pems={"shop": pem("shop.example.com")})
    (before,) = bare.certificates
    assert bare.host.proxy
    bare.host.proxy.refusing = True
    with pytest.raises(StepFailed, match="refuses"):
        bare.apply(pems={"shop": pem("other.example.com")})
    assert bare.listed == [before]
    assert before in bare.certificates


def test_a_page_is_shown_in_the_place_of_a_service() -> None:
    """While it has no container that answers, or somebody says so, which outlasts a deployment; another page is another
    file, and the one before is gone."""
    bare = Bare(PROXIED)
    bare.apply()
    assert bare.world.deploy("1").error is None
    for html in ("<p>soon", "<p>later"):
        assert bare.apply(html=html) == "loaded its new configuration"
        (page,) = [path for path in bare.host.files if path.endswith(".http")]
        assert bare.host.files[page][0].endswith(html.encode())
        assert f"errorfile 503 /etc/relman/{page.rpartition('/')[2]}" in bare.loaded
    assert "deny_status 503" not in bare.loaded
    assert bare.maintain(on=True).startswith("answers in the place of")
    assert bare.world.deploy("2").error is None
    assert "deny_status 503" in bare.loaded
    assert [r.maintenance for r in status_of(bare.session).routes] == [True]
    seen = look_at(bare.session, "production", "shop", "this")
    assert (seen.state, seen.notes) == (Condition.WELL, ("in maintenance: the host's proxy answers in its place",))
    assert bare.maintain(on=True).startswith("answers already")
    assert bare.maintain(on=False).startswith("no longer answers")
    assert "deny_status 503" not in bare.loaded
    with pytest.raises(PreflightFailed, match="does not route production:other"):
        bare.maintain("production:other", on=True)


def test_without_a_proxy_there_is_no_maintenance() -> None:
    """It says so, and what makes one."""
    with pytest.raises(PreflightFailed, match="has no proxy") as caught:
        Bare().maintain(on=True)
    assert "relman proxy apply" in caught.value.hint


def test_a_port_that_is_taken_is_named() -> None:
    """Before the container is made; the next attempt makes it."""
    bare = Bare()
    bare.host.thief = True
    with pytest.raises(ProxyDown, match="port 80"):
        bare.apply()
    assert bare.host.proxy is None
    bare.host.thief = False
    assert bare.apply().startswith("runs ")


@pytest.mark.parametrize(
    ("failed", "other", "kind"),
    [
        (ProxyDown("its proxy did not start"), Applied("runs"), NotServing),
        (Unreachable("gone"), Applied("runs"), Unknown),
        (StepFailed("it routes as before"), Applied("loaded its new configuration"), MixedFleet),
        (StepFailed("it routes as before"), Applied("is as the inventory says", False), StepFailed),
        (Locked("is locked"), Applied("is as the inventory says", False), Locked),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, RelmanError) else None,
)
def test_a_command_ends_as_the_hosts_are(failed: RelmanError, other: Applied, kind: type[RelmanError]) -> None:
    """Nothing is said to be unchanged where a proxy was changed, or does not run."""
    with pytest.raises(kind):
        conclude(Gathered({"h1": other}, {"h2": failed}))
    conclude(Gathered({"h1": other}))
