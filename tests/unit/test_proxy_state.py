"""What a host's proxy is and routes is kept whole, and read back strictly."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.model.formats.untrusted_json import Misread, Newer
from relman.model.proxy import Backend, HostProxy, Server, ServiceRoute
from relman.model.proxy_settings import Https, Protocol, ProxySettings
from relman.model.settings import Health, Probe
from relman.model.state_dir.proxy import ProxyState

PROXY = HostProxy("haproxy:2.6")
NAMES = st.sampled_from(["shop", "api", "queue"])


def backends() -> st.SearchStrategy[Backend]:
    """Any backend."""
    words = st.text(max_size=5)
    routes = st.builds(ServiceRoute, st.lists(words, max_size=2).map(tuple), words, st.booleans(), st.none())
    ports = st.builds(ServiceRoute, listen=st.integers(1, 65535))
    settings = st.builds(
        ProxySettings, st.integers(1, 65535), st.sampled_from(Protocol), st.sampled_from(Https), st.floats(0, 1e6)
    )
    health = st.builds(Health, st.sampled_from(Probe), headers=st.dictionaries(words, words, max_size=1))
    servers = st.lists(st.builds(Server, words, words), max_size=2).map(tuple)
    return st.builds(Backend, NAMES, NAMES, routes | ports, settings, health, servers, st.floats(0, 1e6))


def states() -> st.SearchStrategy[ProxyState]:
    """Any state."""

    def build(found: list[Backend]) -> ProxyState:
        state = ProxyState(PROXY, "haproxy@sha256:0")
        for backend in found:
            state = state.having(backend)
        return state

    return st.lists(backends(), max_size=4).map(build)


@given(states())
def test_what_is_written_is_read_back(state: ProxyState) -> None:
    """All of it; another key is a newer relman's, another type nobody's."""
    written = json.loads(json.dumps(state.to_json()))
    assert ProxyState.from_json(written) == state
    with pytest.raises(Newer):
        ProxyState.from_json({**written, "more": 1})
    with pytest.raises(Misread):
        ProxyState.from_json({**written, "image": 1})


@given(states(), backends())
def test_a_service_has_one_backend(state: ProxyState, backend: Backend) -> None:
    """The new one in place of the old one; taken away it leaves the others as they are, in one order."""
    after = state.having(backend)
    assert after.backend(backend.name) == backend
    assert after.without(backend.name) == state.without(backend.name)
    assert [b.name for b in after.backends] == sorted({b.name for b in after.backends})


def test_nobody_gets_what_another_one_has() -> None:
    """A name with its path, or a port, of whatever environment; its own a service may have again."""
    shop = Backend("production", "shop", ServiceRoute(("a.example.com", "b.example.com")), ProxySettings(80), Health())
    state = ProxyState(PROXY, "").having(shop)
    other = replace(shop, environment="staging", route=ServiceRoute(("b.example.com",)))
    assert state.claimed(other) == "b.example.com/ is taken by production:shop"
    assert state.claimed(replace(other, route=ServiceRoute(("b.example.com",), "/b"))) == ""
    assert state.claimed(replace(shop, route=ServiceRoute(("b.example.com",)))) == ""
    assert state.claimed(replace(other, route=ServiceRoute(listen=443))) == "port 443 is taken by the proxy's HTTPS"
