"""Read what an inventory says of the proxy of a host (relman_proxy), and of what is routed there (relman_routes)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman.model.proxy import HostProxy, ServiceRoute

if TYPE_CHECKING:
    from relman.config.schema.proxy.environment import ProxyVariables


def host_proxy(value: object) -> HostProxy:
    """The proxy of a host. Raises Faults, with the path to each."""
    return _variables("proxy", value).proxy.value()


def routes(value: object) -> dict[str, ServiceRoute]:
    """What is routed to each service. Raises Faults, with the path to each."""
    return {service: route.value() for service, route in _variables("routes", value).routes.items()}


def _variables(name: str, value: object) -> ProxyVariables:
    from relman.config.schema.proxy.environment import ProxyVariables
    from relman.config.schema.schema_errors import valid_at

    return valid_at(ProxyVariables, name, value)
