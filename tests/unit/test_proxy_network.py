"""Containers behind the proxy have addresses that stay theirs."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.docker import answers
from relman.docker.creation import creation
from relman.model.container import Network, RunSpec
from relman.model.settings import RunSettings
from relman.rollout.proxy.addresses import free, halves

SUBNET = "172.19.0.0/16"
SPEC = RunSpec(
    "shop-1", "shop", RunSettings(networks=("relman", "backend")), {}, ("shop",), addresses={"relman": "172.19.0.2"}
)


def row(status: str, address: str, fixed: str | None) -> dict[str, object]:
    """A row of GET /containers/json, as Docker 20.10 gives it."""
    network = {"IPAMConfig": None if fixed is None else {"IPv4Address": fixed}, "IPAddress": address}
    return {"State": status, "NetworkSettings": {"Networks": {"relman": network}}}


@given(st.integers(16, 30), st.integers(0, 4), st.sets(st.integers(0, 40)))
def test_an_address_is_free_and_not_the_engine_s_to_give(prefix: int, count: int, taken: set[int]) -> None:
    """Each once, in the lower half, nobody's, neither the network's own nor the gateway's; or there are none left."""
    subnet = ip_network(f"172.19.0.0/{prefix}")
    lower, upper = map(ip_network, halves(str(subnet)))
    others = {str(subnet.network_address + n) for n in taken if n < subnet.num_addresses}
    try:
        found = free(str(subnet), others, count)
    except ValueError:
        assert lower.num_addresses - 2 - len(taken) < count
        return
    assert len(set(found)) == count
    for each in map(ip_address, found):
        assert each in lower
        assert each not in upper
        assert str(each) not in {*others, "172.19.0.0", "172.19.0.1"}


def test_a_stopped_container_keeps_its_address() -> None:
    """The engine says the fixed one of a container that does not run, and of a running one what it has."""
    rows = [
        row("exited", "", "172.19.0.2"),
        row("running", "172.19.128.1", None),
        {"NetworkSettings": {"Networks": {}}},
    ]
    assert answers.addresses_in(rows, "relman") == {"172.19.0.2", "172.19.128.1"}
    assert answers.addresses_in(rows, "other") == frozenset()


def test_a_container_is_created_with_its_address() -> None:
    """In the network that has one for it, besides its names there."""
    first = creation(SPEC)["NetworkingConfig"]["EndpointsConfig"]
    assert first == {"relman": {"Aliases": ["shop"], "IPAMConfig": {"IPv4Address": "172.19.0.2"}}}
    plain = creation(replace(SPEC, addresses={}))["NetworkingConfig"]["EndpointsConfig"]
    assert plain == {"relman": {"Aliases": ["shop"]}}


def test_a_network_has_the_subnet_that_it_was_given() -> None:
    """As Docker 20.10 tells of one."""
    config = [{"Subnet": SUBNET, "IPRange": "172.19.128.0/17", "Gateway": "172.19.0.1"}]
    assert answers.network({"Driver": "bridge", "IPAM": {"Config": config}}) == Network(
        "bridge", "172.19.0.1", SUBNET, "172.19.128.0/17"
    )
    with pytest.raises(ValueError, match="no free address"):
        free("172.19.0.0/30", (), 2)
