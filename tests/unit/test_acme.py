"""Certificates that come by ACME: which are wanted and due, how the hosts answer for them and keep them, in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.app.deployments.acme import groups_of, names_of, together
from relman.hosts.state_dir import proxy as kept
from relman.model.errors import CertificateRefused, ConfigError, RelmanError, StepFailed, Unhealthy, Unreachable
from relman.model.formats.clock import rfc3339
from relman.model.proxy import Acme, Backend, Certificate, Challenge, ServiceRoute
from relman.model.proxy_settings import ProxySettings
from relman.model.settings import Health
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.acme.certify import conclude
from relman.rollout.acme.install import Issued, answer, install
from relman.rollout.acme.issued import held, lacking, staying, unanswered
from relman.rollout.fleet import Gathered, Session
from relman.rollout.proxy import apply as proxy
from relman.rollout.proxy.apply import Applied, Meant
from relman.rollout.proxy.certificates import read_certificate
from relman.rollout.proxy.haproxy_cfg import rendered
from relman.rollout.state.locks import new_lock
from tests.unit.certificates import DAY, NOW, pem
from tests.unit.model_fleet import ModelFleet, World, killed
from tests.unit.model_host import Died
from tests.unit.model_proxy import PLACE
from tests.unit.test_proxy_apply import WANTED, image
from tests.unit.test_proxy_config import host, refused
from tests.unit.values import PROXIED

SAID = {"directory": "https://ca.example.com/dir", "account": "acme-account", "agree_to_terms": True}
ACME = Acme("https://ca.example.com/dir", "acme-account")
IMAGE = "r.example.com/haproxy:3.2"
NAME, WWW = "shop.example.com", "www.example.com"


def issued(name: str, *, serial: int = 1, environment: str = "production") -> Issued:
    """A certificate that an authority issued for a name."""
    text = pem(name, serial=serial)
    return Issued(replace(read_certificate(name, text, NOW), environment=environment), text)


def until(name: str, end: datetime, environment: str = "production") -> Certificate:
    """A certificate of 90 days that counts until then."""
    return Certificate(name, "0" * 64, (name,), rfc3339(end - 90 * DAY), rfc3339(end), environment)


def test_an_inventory_says_where_they_come_from(tmp_path: Path) -> None:
    """Its file of CAs lies beside it; the account's key is a secret of the proxy."""
    said = {**SAID, "email": "ops@example.com", "ca": "ca.pem", "names": [NAME.upper()]}
    found = host(tmp_path, relman_proxy={"image": IMAGE, "acme": said}).proxy
    assert found
    assert found.acme == replace(ACME, email="ops@example.com", ca=str(tmp_path / "ca.pem"), names=(NAME,))
    assert found.secrets == ("acme-account",)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("directory", "http://ca.example.com/dir"),
        ("directory", "https://a b"),
        ("account", "../key"),
        ("agree_to_terms", False),
        ("agree_to_terms", "yes"),
        ("email", "nobody"),
        ("names", ["*.example.com"]),
        ("days", 30),
    ],
)
def test_what_is_wrong_with_it_is_said_by_its_key(tmp_path: Path, key: str, value: object) -> None:
    """Terms are agreed to by true alone, and nothing goes to an authority in plain text."""
    (said,) = refused(tmp_path, relman_proxy={"image": IMAGE, "acme": {**SAID, key: value}})
    assert said.startswith(f"relman_proxy.acme.{key}")


@pytest.mark.parametrize("key", ["directory", "account", "agree_to_terms"])
def test_what_it_has_to_say_is_asked_for(tmp_path: Path, key: str) -> None:
    """There is no authority by default, and nobody agrees unasked."""
    (said,) = refused(tmp_path, relman_proxy={"image": IMAGE, "acme": {k: v for k, v in SAID.items() if k != key}})
    assert key in said


def test_every_routed_name_gets_one_unless_a_secret_is_for_it(tmp_path: Path) -> None:
    """Or those that are listed; nobody without an authority gets any."""
    routes = {"shop": {"hosts": [NAME, WWW]}, "blog": {"hosts": [WWW], "path": "/blog"}, "q": {"listen": 1}}
    plain: dict[str, Any] = {"image": IMAGE}
    found = host(tmp_path, relman_routes=routes, relman_proxy={**plain, "acme": SAID})
    assert sorted(names_of(found, ())) == [NAME, WWW]
    own = (Certificate("own", "", ("*.example.com",), "", ""), Certificate("other", "", ("example.com",), "", ""))
    assert names_of(found, own) == ()
    assert sorted(names_of(found, own[1:])) == [NAME, WWW]
    listed = {**SAID, "names": ["a.example.com"]}
    assert names_of(host(tmp_path, relman_routes=routes, relman_proxy={**plain, "acme": listed}), ()) == (
        "a.example.com",
    )
    assert names_of(host(tmp_path, relman_routes=routes, relman_proxy=plain), ()) == ()


def test_hosts_of_one_authority_and_account_are_asked_for_together() -> None:
    """Others apart; no key is shown."""
    meant = {
        f"h{n}": Meant(replace(WANTED, acme=acme), image("1"), names=(NAME,))
        for n, acme in enumerate((ACME, ACME, ACME, replace(ACME, email="a@b"), None))
    }
    found = groups_of(meant, {"h0": b"hush", "h1": b"hush", "h2": b"other", "h3": b"hush"})
    assert [list(group.wanted) for group in found] == [["h0", "h1"], ["h2"], ["h3"]]
    assert "hush" not in repr(found)
    assert "PRIVATE" not in repr(issued(NAME))


@pytest.mark.parametrize(
    ("certificates", "wanting"),
    [
        ({"h1": (), "h2": ()}, (NAME, WWW)),
        ({"h1": (until(NAME, NOW + 89 * DAY),), "h2": (until(NAME, NOW + 31 * DAY),)}, (WWW,)),
        ({"h1": (until(NAME, NOW + 89 * DAY),), "h2": (until(NAME, NOW + 29 * DAY),)}, (WWW, NAME)),
        ({"h1": (until(NAME, NOW + 89 * DAY, "staging"),), "h2": (until(NAME, NOW + 89 * DAY),)}, (WWW,)),
        ({"h1": (until(WWW, NOW + 89 * DAY),), "h2": (until(WWW, NOW + 89 * DAY),)}, (NAME,)),
    ],
)
def test_a_name_needs_one_of_which_any_host_has_none_or_an_old_one(
    certificates: Mapping[str, tuple[Certificate, ...]], wanting: tuple[str, ...]
) -> None:
    """A third of 90 days is left; whoever else got it."""
    assert lacking({"h1": (NAME, WWW), "h2": (NAME,)}, certificates, NOW) == wanting


def test_an_environment_leaves_those_of_another() -> None:
    """Of its own it keeps those that it wants; of others all that count, or that a service needs."""
    old = until("old.example.com", NOW - DAY, "staging")
    routed = until("routed.example.com", NOW - DAY, "staging")
    theirs = until("staging.example.com", NOW + DAY, "staging")
    mine, gone = until(NAME, NOW - DAY), until("gone.example.com", NOW + DAY)
    service = Backend("staging", "x", ServiceRoute(("routed.example.com",)), ProxySettings(1), Health())
    state = ProxyState(WANTED, "", (service,))
    there = (old, routed, theirs, mine, gone)
    assert staying(state, there, (NAME,), "production", NOW) == (routed, theirs, mine)
    questions = tuple(Challenge(c.name, "t", "t.x") for c in (theirs, mine))
    assert unanswered(questions, (until(theirs.name, NOW + 60 * DAY), mine), NOW) == questions[1:]


def test_a_name_without_a_certificate_is_not_redirected() -> None:
    """While the others are; behind a balancer all are, which has its own."""
    service = Backend("production", "x", ServiceRoute((NAME, WWW)), ProxySettings(1), Health())
    state = ProxyState(replace(WANTED, acme=ACME), "", (service,), (until(NAME, NOW + DAY),))

    def excepted(state: ProxyState) -> list[str]:
        return [line.strip() for line in rendered(state).splitlines() if "uncertified" in line]

    name, redirect = excepted(state)
    assert name == f"acl uncertified hdr(host),field(1,:) -i {WWW}"
    assert redirect.endswith(" || uncertified")
    assert excepted(replace(state, proxy=replace(state.proxy, trusted=("10.0.0.0/8",)))) == []
    assert excepted(replace(state, certificates=(*state.certificates, until(WWW, NOW + DAY)))) == []
    assert excepted(replace(state, proxy=WANTED)) == []


@given(st.text(max_size=12).filter(lambda text: not text.isascii() or not text.replace("-", "").isalnum()))
def test_a_hostile_authority_writes_no_line(token: str) -> None:
    """What it gives as a token stands in the configuration of every host."""
    for challenge in (Challenge(NAME, f"{token} }}", "a.b"), Challenge(NAME, "a", f"a b{token}")):
        with pytest.raises(ConfigError):
            rendered(ProxyState(WANTED, "", challenges=(challenge,)))


class Hosts:
    """Two hosts with proxies, in memory."""

    def __init__(self) -> None:
        self.world = World(2, PROXIED)
        self.fleet = ModelFleet(self.world.hosts)

    @property
    def session(self) -> Session:
        """A command's, on the first host."""
        return ModelFleet(self.world.hosts).sessions["h1"]

    def apply(self, *names: str, environment: str = "production") -> str:
        """Make its proxy, which gets certificates for these names."""
        meant = Meant(replace(WANTED, acme=ACME), image("1"), environment=environment, names=names)
        return proxy.apply(self.session, meant, new_lock(self.world.asked(), "making"), lambda *_: None).done

    def answer(self, *challenges: Challenge) -> None:
        """Let it answer these."""
        answer(self.session, challenges, new_lock(self.world.asked(), "answering"))

    def install(self, *certificates: Issued, answered: tuple[Challenge, ...] = ()) -> Applied:
        """Let it use these."""
        return install(self.session, certificates, answered, new_lock(self.world.asked(), "installing"))

    @property
    def state(self) -> ProxyState:
        """What it is."""
        found = kept.read(self.session.connection)
        assert found
        return found

    @property
    def files(self) -> set[str]:
        """Those of its certificates."""
        names = (path.rpartition("/") for path in self.world.hosts[0].files)
        return {name for folder, _, name in names if folder == f"{PLACE}/certificates" and name.endswith(".pem")}


QUESTION = Challenge(NAME, "token", "token.thumb")


def test_a_host_answers_and_then_uses_what_comes_of_it() -> None:
    """Files are its own alone; what it is told again changes nothing; the one before is gone when a new one is there,
    and when the name is wanted no more."""
    hosts = Hosts()
    hosts.apply(NAME)
    hosts.answer(QUESTION)
    proxied = hosts.world.hosts[0].proxy
    assert proxied
    assert "string token.thumb if { path /.well-known/acme-challenge/token }" in proxied.loaded
    for serial in (1, 2):
        one = issued(NAME, serial=serial)
        assert hosts.install(one, answered=(QUESTION,)).done == f"has new certificates for {NAME}"
        assert (hosts.files, hosts.state.challenges) == ({one.certificate.file}, ())
        assert held(hosts.session) == (one.certificate,)
        assert "acme-challenge" not in proxied.loaded
        assert hosts.state.list_of_certificates in proxied.loaded
        assert hosts.apply(NAME) == "is as the inventory says"
    assert hosts.world.hosts[0].owners[f"{PLACE}/certificates/{one.certificate.file}"][2] & 0o777 == 0o600
    hosts.install(issued(WWW, environment="staging"))
    hosts.apply(WWW, environment="production")
    assert [each.name for each in held(hosts.session)] == [WWW], "staging's"
    assert hosts.apply(environment="staging") == "loaded its new configuration"
    assert (held(hosts.session), hosts.files) == ((), set())


def test_one_whose_file_is_gone_is_lacking() -> None:
    """HAProxy would refuse the configuration that names it."""
    hosts = Hosts()
    hosts.apply(NAME)
    hosts.install(issued(NAME))
    (file,) = hosts.files
    del hosts.world.hosts[0].files[f"{PLACE}/certificates/{file}"]
    assert held(hosts.session) == ()
    assert hosts.apply(NAME) == "loaded its new configuration"
    assert hosts.state.certificates == ()


def test_what_is_refused_leaves_what_serves() -> None:
    """A configuration that HAProxy does not take, with the one that it has."""
    hosts = Hosts()
    hosts.apply(NAME)
    hosts.install(issued(NAME))
    proxied, before = hosts.world.hosts[0].proxy, hosts.state
    assert proxied
    proxied.refusing = True
    with pytest.raises(StepFailed, match="it routes as before"):
        hosts.answer(QUESTION)
    with pytest.raises(StepFailed, match="it routes as before"):
        hosts.install(issued(NAME, serial=2))
    assert hosts.state == before
    proxied.refusing = False
    assert hosts.apply(NAME) == "is as the inventory says"


def test_relman_can_die_at_any_moment() -> None:
    """What is routed stays so, and the next attempt leaves one certificate and no challenge."""
    for at in range(1, 100):
        hosts = Hosts()
        hosts.apply(NAME)
        hosts.install(issued(NAME))
        assert hosts.world.deploy("1").error is None
        hosts.world.before(at, killed)
        with contextlib.suppress(Died):
            hosts.answer(QUESTION)
            hosts.install(issued(NAME, serial=2), answered=(QUESTION,))
        done, serving = hosts.world.changes < at, hosts.world.hosts[0].serves
        hosts.world.calm()
        assert serving == "1", at
        assert {c.file for c in hosts.state.certificates} <= hosts.files, at
        hosts.apply(NAME)
        last = issued(NAME, serial=3)
        hosts.install(last, answered=())
        assert (hosts.files, hosts.state.challenges) == ({last.certificate.file}, ()), at
        if done:
            return
    raise AssertionError


def test_what_is_said_when_an_authority_refuses() -> None:
    """Why, and what serves until when, on which hosts; the exit code is that of what became of the hosts."""
    there = {"h1": (until(NAME, NOW + DAY),), "h2": (until(NAME, NOW + DAY),), "h3": (until(NAME, NOW - DAY),)}
    refusals: dict[str, RelmanError] = {
        NAME: Unreachable("no answer from https://ca.example.com/dir", hint="Connection refused"),
        WWW: StepFailed("HAProxy refuses the new configuration", host="h3", details=["[ALERT] bad"]),
    }
    with pytest.raises(CertificateRefused) as caught:
        conclude(refusals, there, NOW, changed=False)
    assert caught.value.what == f"no new certificate for {NAME}, {WWW}"
    assert caught.value.details == (
        f"{NAME}: no answer from https://ca.example.com/dir",
        f"  h1, h2: the one before is good until {rfc3339(NOW + DAY)}",
        f"  h3: the one before expired at {rfc3339(NOW - DAY)}",
        f"{WWW}: h3: HAProxy refuses the new configuration",
        "  [ALERT] bad",
        "  h1, h2, h3: no HTTPS for this name",
    )
    assert caught.value.hint == "Connection refused"
    with pytest.raises(Unhealthy):
        conclude(refusals, there, NOW, changed=True)
    conclude({}, there, NOW, changed=True)


def test_each_host_is_said_once() -> None:
    """What was done there first, and then."""
    same, new = Applied("is as the inventory says", False), Applied("has new certificates for a")
    first = Gathered({"h1": same, "h2": Applied("runs x"), "h3": same, "h4": same})
    found = together(first, Gathered({"h1": new, "h2": new, "h3": same}, {"h4": StepFailed("no")}))
    assert {host: each.done for host, each in found.answers.items()} == {
        "h1": "has new certificates for a",
        "h2": "runs x, and has new certificates for a",
        "h3": "is as the inventory says",
    }
    assert list(found.errors) == ["h4"]
