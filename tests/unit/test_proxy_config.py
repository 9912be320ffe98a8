"""What an image and an inventory say of the proxy is read strictly, and each says only what is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from relman.cli.exits import Exit
from relman.config.deploy import resolve
from relman.config.inventory.load import load_inventory
from relman.config.inventory.proxy import routes
from relman.model.errors import ConfigError
from relman.model.host import Host
from relman.model.proxy import HostProxy, ServiceRoute
from relman.model.proxy_settings import Https, Protocol, ProxySettings
from relman.model.settings import DeploySettings
from relman.model.settings_diff import differences
from tests.unit.cli import relman

HTTP = {"http": {"port": 80}}


def resolved(**deploy: Any) -> DeploySettings:
    """The settings of a deploy section."""
    return resolve(deploy, {"port": "8080"}, {}, origin="a test")


def refusals(**deploy: Any) -> tuple[str, ...]:
    """What is said against a deploy section."""
    with pytest.raises(ConfigError) as caught:
        resolved(**deploy)
    return tuple(line.partition("a test: deploy.")[2] for line in caught.value.details)


def host(tmp_path: Path, **variables: Any) -> Host:
    """The only host of an environment that has these variables."""
    file = tmp_path / "inventory.yml"
    said = {"relman_services": {"shop": "r.example.com/shop"}, **variables}
    file.write_text(yaml.safe_dump({"production": {"vars": said, "hosts": {"h1": None}}}))
    return load_inventory([file]).environment("production", ssh_config="/dev/null").hosts[0]


def refused(tmp_path: Path, **variables: Any) -> tuple[str, ...]:
    """What is said against these variables, without the place."""
    with pytest.raises(ConfigError) as caught:
        host(tmp_path, **variables)
    return tuple(line.partition(": production.vars.")[2] for line in caught.value.details)


def test_an_image_says_how_it_is_reached() -> None:
    """All of deploy.proxy, with times in seconds; what it leaves open has the reference's defaults."""
    assert resolved(proxy={"port": 8080}).proxy == ProxySettings(8080, Protocol.HTTP, Https.REDIRECT, 30.0)
    said = {"port": 1, "protocol": "h2c", "https": "off", "response_timeout": "1m", "drain_timeout": 60, "hold": "5s"}
    assert resolved(proxy=said).proxy == ProxySettings(1, Protocol.H2C, Https.OFF, 60.0, 60.0, 5.0)
    assert [ProxySettings(1, drain_timeout=t).drain(keep_alive=5.0) for t in (None, 30.0, 60.0)] == [35.0, 35.0, 60.0]


@pytest.mark.parametrize("key", ["hosts", "path", "options", "listen", "name"])
def test_an_image_claims_no_name(key: str) -> None:
    """Host names, paths and lines of the proxy's configuration are no keys of deploy.proxy."""
    (said,) = refusals(proxy={"port": 80, key: "x"})
    assert said.startswith(f"proxy.{key}: ")


def test_what_does_not_fit_together_is_refused() -> None:
    """By the key to change."""
    assert [s.partition(":")[0] for s in refusals(proxy={"port": 80, "protocol": "tcp", "https": "only"})] == [
        "proxy.https"
    ]
    assert refusals(proxy={"port": 80, "drain_timeout": "29s"})[0].startswith("proxy.drain_timeout: ")
    assert refusals(proxy={"port": 80}, networks=["none"])[0].startswith("networks: ")
    two = {"web": {"proxy": {"port": 80}}, "admin": {"proxy": {"port": 81}}}
    assert refusals(processes=two) == ("processes.admin.proxy: one process is reached through the proxy: web is",)


def test_one_process_is_reached_by_its_own_settings() -> None:
    """The others have none."""
    found = resolved(processes={"web": {"proxy": {"port": 80}}, "worker": {}})
    assert [run.proxy for run in found.runs] == [ProxySettings(80), None]


@given(st.text(max_size=8), st.sampled_from(("path", "header", "host")))
def test_a_health_check_that_the_proxy_could_not_write_down_is_refused(word: str, where: str) -> None:
    """Blanks, quotes, braces and lines in what the proxy asks for; without the proxy relman asks for them itself."""
    http: dict[str, Any] = {
        "path": {"path": f"/{word}{{"},
        "header": {"headers": {"X-Y": f"{word}%["}},
        "host": {"host": f"{word} x"},
    }
    health = {"http": {"port": 80, **http[where]}}
    with pytest.raises(ConfigError):
        resolved(proxy={"port": 80}, health=health)


def test_a_change_of_the_proxy_s_settings_is_shown() -> None:
    """In a plan, key by key."""
    (changed,) = differences(resolved(proxy={"port": 80}), resolved(proxy={"port": 81}))
    assert changed.key == "proxy"


def test_an_inventory_says_what_is_routed(tmp_path: Path) -> None:
    """The proxy of the host, and the routes of services; names in lower case, paths without a / at their end."""
    found = host(
        tmp_path,
        relman_proxy={"image": "r.example.com/haproxy:3.2", "trusted": "10.0.0.0/8", "keep_alive": "2s"},
        relman_routes={"shop": {"hosts": "Shop.Example.com", "path": "/a/", "strip_prefix": True}, "q": {"listen": 1}},
    )
    assert found.proxy == HostProxy("r.example.com/haproxy:3.2", trusted=("10.0.0.0/8",), keep_alive=2.0)
    assert found.routes == {
        "shop": ServiceRoute(("shop.example.com",), "/a", strip_prefix=True),
        "q": ServiceRoute(listen=1),
    }
    assert host(tmp_path).proxy is None


def test_the_proxy_s_image_is_the_official_one_unless_another_is_named(tmp_path: Path) -> None:
    """Of Docker Hub, with a tag that stays on one branch."""
    found = host(tmp_path, relman_proxy={}).proxy
    assert found == HostProxy("docker.io/library/haproxy:3.2-alpine")


def test_the_page_lies_beside_the_inventory(tmp_path: Path) -> None:
    """Whoever runs relman, from wherever."""
    found = host(tmp_path, relman_proxy={"image": "r.example.com/haproxy:3.2", "page": "soon.html"})
    assert found.proxy
    assert found.proxy.page == str(tmp_path / "soon.html")


@pytest.mark.parametrize(
    "route",
    [
        {"hosts": ["a b"]},
        {"hosts": ["a.example.com:80"]},
        {"hosts": ["a_b}"]},
        {"path": "api"},
        {"path": "/a b"},
        {"path": "/a%"},
        {"path": "/a//b"},
        {"listen": 80, "path": "/a"},
        {"listen": 80, "hosts": ["x"]},
        {"strip_prefix": True},
        {"options": ["option x\n  server y 1.2.3.4:1"]},
        {"options": ["backend other"]},
        {"options": [" global"]},
        {"option": []},
    ],
    ids=str,
)
def test_a_route_that_cannot_be_written_down_is_refused(route: dict[str, Any], tmp_path: Path) -> None:
    """By variable, service and key."""
    (said,) = refused(tmp_path, relman_routes={"shop": route})
    assert said.startswith("relman_routes.shop")


def test_the_proxy_s_own_faults_are_named(tmp_path: Path) -> None:
    """Each by its key."""
    found = refused(
        tmp_path,
        relman_proxy={"image": "haproxy", "trusted": ["10.0.0.1/8"], "http": 0, "keep_alive": "0s", "health": "x"},
    )
    keys = {said.partition(": ")[0] for said in found}
    assert keys == {f"relman_proxy.{k}" for k in ("image", "trusted[0]", "http", "keep_alive", "health")}


@given(st.dictionaries(st.sampled_from(("a", "b", "c")), st.tuples(st.sampled_from("xy"), st.sampled_from("pq"))))
def test_two_services_never_have_one_name_and_path(claims: dict[str, tuple[str, str]]) -> None:
    """Whoever is written second is refused; different paths of one host are nobody else's."""
    said = {service: {"hosts": [host], "path": f"/{path}"} for service, (host, path) in claims.items()}
    if len(set(claims.values())) == len(claims):
        assert routes(said).keys() == claims.keys()
    else:
        with pytest.raises(ValueError, match=r"is routed to . already"):
            routes(said)


def test_no_proxy_is_made_where_the_inventory_names_none(tmp_path: Path) -> None:
    """No host is connected to; it is said what to write."""
    file = tmp_path / "inventory.yml"
    file.write_text("production: {vars: {relman_services: {shop: r.example.com/shop}}, hosts: {h1: {}}}")
    done = relman("proxy", "apply", "-e", "production", "-i", str(file))
    assert done.returncode == Exit.USAGE
    assert "relman_proxy: {}" in done.stderr
