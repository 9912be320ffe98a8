"""Whenever the proxy of a host fails while a service is deployed, the command says the truth, and what it advises mends
it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from relman.model.errors import MixedFleet, NotServing, PreflightFailed, RelmanError
from relman.model.settings import DeploySettings
from relman.rollout.looking.condition import Condition
from relman.rollout.looking.status import look_at
from relman.rollout.proxy import load
from tests.exhaustive.sample import part
from tests.unit.model_host import ModelHost
from tests.unit.test_proxy_apply import Bare
from tests.unit.test_proxy_rollout import STOPS
from tests.unit.values import PROXIED

SHARES = 6


def removed(host: ModelHost) -> None:
    """docker rm -f."""
    host.proxies = {}


def stopped(host: ModelHost) -> None:
    """docker kill."""
    for proxy in host.proxies.values():
        proxy.status = "exited"


def frozen(host: ModelHost) -> None:
    """docker pause."""
    for proxy in host.proxies.values():
        proxy.status = "paused"


class Proxied(Bare):
    """A host that serves release 1 behind its proxy."""

    def __init__(self, settings: DeploySettings) -> None:
        super().__init__(settings)
        self.apply()
        assert self.world.deploy("1").error is None

    def deploy(self) -> RelmanError | None:
        """Release 2; what that came to."""
        try:
            return self.world.deploy("2").error
        except PreflightFailed as error:
            return error

    def recover(self, runs: str) -> None:
        """As it advises: this release is there, and another one can come."""
        self.world.calm()
        assert self.world.recover().error is None
        assert self.world.versions == [runs]
        assert self.world.deploy("3").error is None
        self.world.tidy(whole=False)

    @property
    def condition(self) -> Condition:
        """What status says."""
        return look_at(self.session, "production", "shop", "this").state


def deployments(settings: DeploySettings, happens: Callable[[ModelHost], None]) -> Iterator[tuple[int, Proxied]]:
    """One for each change of the host before which this happens."""
    quiet = Proxied(settings)
    quiet.world.before(0, lambda _: None)
    assert quiet.deploy() is None
    for at in part(range(1, quiet.world.changes + 1), len(happens.__name__), SHARES):
        tried = Proxied(settings)
        tried.world.before(at, happens)
        yield at, tried


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_RELOAD", 0.05)


@pytest.mark.parametrize("settings", [PROXIED, STOPS], ids=["beside", "stop-first"])
@pytest.mark.parametrize("happens", [removed, stopped])
def test_a_proxy_that_ends_takes_no_container_with_it(
    happens: Callable[[ModelHost], None], settings: DeploySettings
) -> None:
    """Unless all was done, the host goes back, and the proxy finds what runs there when it is made again; it is never
    said that all is well."""
    for at, tried in deployments(settings, happens):
        error = tried.deploy()
        assert tried.condition is Condition.UNPROXIED, at
        if isinstance(error, NotServing):
            assert "relman proxy apply" in error.hint, at
            assert "relman recover" in error.hint, at
        else:
            assert error is None or "relman proxy apply" in error.details[0], at
        runs = "1" if error else "2"
        assert tried.apply().startswith(("was replaced", "runs ")), at
        assert tried.world.versions == [runs], at
        tried.recover(runs)


@pytest.mark.parametrize("settings", [PROXIED, STOPS], ids=["beside", "stop-first"])
def test_a_proxy_that_is_frozen_finds_its_containers_when_it_goes_on(settings: DeploySettings) -> None:
    """Nobody knows which configuration it will go on with: the containers of both stay, where both may run."""
    for at, tried in deployments(settings, frozen):
        error = tried.deploy()
        if isinstance(error, MixedFleet):
            assert "docker unpause relman-proxy-1; then: relman recover" in error.hint, at
        else:
            assert error is None or "is paused" in error.details[0], at
        assert tried.condition in (Condition.UNPROXIED, Condition.DOUBLED), at
        assert tried.apply().startswith("was paused, and "), at
        assert tried.world.versions != ["-"], at
        tried.recover("1" if error else "2")


def test_kinds_are_told_apart() -> None:
    """Each of the three ends somewhere in the middle of a deployment."""
    for happens, settings in itertools.product((removed, stopped, frozen), (PROXIED, STOPS)):
        assert any(tried.deploy() is not None for _, tried in deployments(settings, happens))
