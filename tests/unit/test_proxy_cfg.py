"""What a host routes becomes HAProxy's configuration, in which nobody can write a line that is not his."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.model.errors import ConfigError
from relman.model.proxy import Backend, Certificate, HostProxy, Server, ServiceRoute
from relman.model.proxy_settings import Https, Protocol, ProxySettings
from relman.model.settings import Health, Probe
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.proxy.haproxy_cfg import NOBODY, description, rendered

PROXY = HostProxy("haproxy:2.6")
CERTIFICATES = (Certificate("pem", "0" * 64, (), "", ""),)
SHOP = Backend(
    "production",
    "shop",
    ServiceRoute(("shop.example.com",)),
    ProxySettings(8080),
    Health(Probe.HTTP, 8080, "/health"),
    (Server("shop-1", "172.19.0.2"), Server("shop-2", "172.19.0.3")),
)
API = replace(SHOP, service="api", route=ServiceRoute(("shop.example.com",), "/api", strip_prefix=True))
QUEUE = replace(
    SHOP,
    service="queue",
    route=ServiceRoute(listen=6000),
    settings=ProxySettings(6000, Protocol.TCP),
    health=Health(Probe.TCP, 6000),
)
KEYWORDS = {
    *("balance", "bind", "default_backend", "http-check", "http-request", "http-reuse", "log", "mode", "option"),
    *("retries", "retry-on", "server", "timeout", "log-format", "tcp-request"),
}
TEXT = st.text(max_size=12) | st.from_regex(r"[\x00-\x7f]{0,12}", fullmatch=True)


def lines_of(*backends: Backend, proxy: HostProxy = PROXY) -> list[str]:
    """The lines of the file."""
    return rendered(ProxyState(proxy, "", backends, CERTIFICATES if proxy.certificates else ())).splitlines()


def healths() -> st.SearchStrategy[Health]:
    """Any health check that an image could ask for."""
    return st.builds(
        Health,
        st.sampled_from(Probe),
        st.none() | st.integers(1, 65535),
        TEXT,
        host=TEXT,
        headers=st.dictionaries(TEXT, TEXT, max_size=2),
    )


def settings() -> st.SearchStrategy[ProxySettings]:
    """Any deploy.proxy of HTTP."""
    times = st.floats(0.001, 1e6)
    return st.builds(
        ProxySettings, st.integers(1, 65535), st.just(Protocol.HTTP), st.sampled_from(Https), times, st.none() | times
    )


@given(settings(), healths(), st.floats(0, 1000))
def test_nothing_out_of_an_image_adds_a_line_or_a_name(asked: ProxySettings, health: Health, hold: float) -> None:
    """Whatever the image says, the file is refused, or it has the sections and the routes that it has with an image
    which says nothing; and all that follows the section of its service's backend is the same."""
    proxy = replace(PROXY, trusted=("10.0.0.0/8",), certificates=("pem",), health="/up")
    shop = replace(SHOP, settings=asked, health=health, hold=hold)
    plain = lines_of(API, replace(SHOP, health=Health()), QUEUE, proxy=proxy)
    try:
        found = lines_of(API, shop, QUEUE, proxy=proxy)
    except ConfigError:
        return
    begin, end = (found.index(f"backend {name}") for name in ("production:shop from web", "production:queue from tcp"))
    tail = found[begin + 1 : end]
    assert [s for s in tail if not s.startswith("  ")] == ["defaults tcp", "frontend listen:production:queue from tcp"]
    until = plain.index("backend production:shop from web")
    assert [line for line in found[:begin] if "description" not in line] == [
        line for line in plain[:until] if "description" not in line
    ]
    assert {line.split()[0] for line in tail if line.startswith("  ")} <= KEYWORDS
    rules = [line for line in tail if line.startswith("  http-request")]
    assert all(
        line.startswith(
            (
                "  http-request redirect scheme https",
                "  http-request return status 404",
                "  http-request track-sc2 be_name table observed/times",
            )
        )
        for line in rules
    )


@given(TEXT, TEXT, st.sampled_from(("environment", "service", "host", "path", "server", "address", "option", "health")))
def test_a_value_is_one_word_or_the_file_is_refused(before: str, after: str, where: str) -> None:
    """No value of anybody ends its line or its word: not even of an inventory, which is read more strictly already."""
    value = f"{before} {after}" if where != "option" else f"{before}\n{after}"
    changed = {
        "environment": replace(SHOP, environment=value),
        "service": replace(SHOP, service=value),
        "host": replace(SHOP, route=ServiceRoute((value,))),
        "path": replace(SHOP, route=ServiceRoute((), value)),
        "server": replace(SHOP, servers=(Server(value, "172.19.0.2"),)),
        "address": replace(SHOP, servers=(Server("shop-1", value),)),
        "option": replace(SHOP, route=ServiceRoute((), options=(value,))),
        "health": SHOP,
    }[where]
    with pytest.raises(ConfigError):
        rendered(ProxyState(replace(PROXY, health=value) if where == "health" else PROXY, "", (changed,)))


@given(st.permutations([SHOP, API, QUEUE, replace(SHOP, service="any", route=ServiceRoute())]))
def test_the_order_of_services_makes_no_difference(backends: list[Backend]) -> None:
    """The same routes are the same file, and so the same description; and the more special route comes first."""
    found = lines_of(*backends)
    assert found == lines_of(SHOP, API, QUEUE, replace(SHOP, service="any", route=ServiceRoute()))
    used = [line.split()[1].split(":")[1] for line in found if line.startswith("  use_backend")]
    assert used == ["api", "shop", "any"]


def test_the_description_says_what_is_loaded() -> None:
    """It follows from all other lines, and from nothing else."""
    found = lines_of(SHOP)
    rest = "".join(f"{line}\n" for line in found[2:])
    assert found[:2] == ["global", f"  description {description(rest)}"]
    assert found[1] not in lines_of(API)


def test_a_host_name_of_no_route_gets_no_service() -> None:
    """What nobody routes is answered by the proxy itself."""
    found = lines_of(SHOP)
    assert f"  default_backend {NOBODY}" in found
    assert found[found.index(f"backend {NOBODY} from web") + 1].startswith("  http-request return status 404 ")


def test_tcp_without_a_port_of_the_host_is_refused() -> None:
    """A service that speaks TCP has to be routed by a port."""
    with pytest.raises(ConfigError) as caught:
        rendered(ProxyState(PROXY, "", (replace(QUEUE, route=ServiceRoute(("queue.example.com",))),)))
    assert "production:queue" in caught.value.details[0]
