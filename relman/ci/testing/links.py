"""The legacy link variables that Docker's `--link` sets
(https://docs.docker.com/engine/network/links/#environment-variables; implementation: moby, daemon/links)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

LinkPort = tuple[int, str]

_NOT_PASSED_ON = ("HOME", "PATH")
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def link_variables(
    alias: str, consumer_name: str, address: str, ports: Iterable[LinkPort], service_env: Mapping[str, str]
) -> dict[str, str]:
    """The variables by which a container named `consumer_name` sees the service linked under `alias`.

    `ports` are (number, "tcp" or "udp") pairs. As in Docker, the service's HOME and PATH are omitted. Unlike Docker,
    ALIAS_PORT is the lowest TCP port even if a lower UDP port is open, and names that no shell can read, such as
    `discovery.type`, are omitted.
    """
    prefix = alias.upper().replace("-", "_")
    ordered = sorted(set(ports), key=lambda p: (p[0], p[1] != "tcp", p[1]))
    variables = _ranges(prefix, address, ordered)
    for port in ordered:
        variables |= _port(prefix, address, port)
    for number, protocol in sorted(ordered, key=lambda p: p[1] != "tcp")[:1]:
        variables[f"{prefix}_PORT"] = f"{protocol}://{address}:{number}"
    variables[f"{prefix}_NAME"] = f"/{consumer_name}/{alias}"
    return variables | {f"{prefix}_ENV_{k}": v for k, v in service_env.items() if _is_passed_on(k)}


def _is_passed_on(name: str) -> bool:
    return name not in _NOT_PASSED_ON and bool(_SHELL_NAME.fullmatch(name))


def _port(prefix: str, address: str, port: LinkPort) -> dict[str, str]:
    number, protocol = port
    name = f"{prefix}_PORT_{number}_{protocol.upper()}"
    return {
        name: f"{protocol}://{address}:{number}",
        f"{name}_ADDR": address,
        f"{name}_PORT": str(number),
        f"{name}_PROTO": protocol,
    }


def _ranges(prefix: str, address: str, ports: list[LinkPort]) -> dict[str, str]:
    """The variables for three or more consecutive ports, as Docker computes ranges."""
    variables: dict[str, str] = {}
    start = 0
    while start < len(ports):
        end = _last_in_row(ports, start)
        if end <= start + 1:
            start += 1
            continue
        (first, protocol), (last, last_protocol) = ports[start], ports[end]
        name = f"{prefix}_PORT_{first}_{protocol.upper()}"
        last_name = f"{prefix}_PORT_{first}_{last_protocol.upper()}"
        variables |= {
            f"{name}_START": f"{protocol}://{address}:{first}",
            f"{name}_ADDR": address,
            f"{name}_PROTO": protocol,
            f"{name}_PORT_START": str(first),
            f"{last_name}_END": f"{last_protocol}://{address}:{last}",
            f"{last_name}_PORT_END": str(last),
        }
        start = end + 1
    return variables


def _last_in_row(ports: list[LinkPort], start: int) -> int:
    value = ports[start][0]
    for index in range(start + 1, len(ports)):
        if ports[index][0] > value + 1:
            return index - 1
        value += 1
    return len(ports) - 1
