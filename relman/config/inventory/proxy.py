"""Read what an inventory says of the proxy of a host (relman_proxy), and of what is routed there (relman_routes)."""

from __future__ import annotations

from typing import Any

from relman.config.schema.values import Faults
from relman.model.proxy import HostProxy, ServiceRoute


def host_proxy(value: object) -> HostProxy:
    """The proxy of a host. Raises Faults, with the path to each."""
    found: HostProxy = _variables("proxy", value).proxy.value()
    return found


def routes(value: object) -> dict[str, ServiceRoute]:
    """What is routed to each service. Raises Faults, with the path to each."""
    return {service: route.value() for service, route in _variables("routes", value).routes.items()}


def _variables(name: str, value: object) -> Any:
    from pydantic import ValidationError

    from relman.config.schema.proxy.environment import ProxyVariables
    from relman.config.schema.schema_errors import faults

    try:
        return ProxyVariables.model_validate({name: value})
    except ValidationError as error:
        raise Faults([(f.path[1:], f.message) for f in faults(error, ProxyVariables)]) from None
