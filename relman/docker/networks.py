"""The networks of a host's engine (Engine API, "Network")."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from relman.docker import answers
from relman.docker.channels import HostClient
from relman.model.errors import NotFound


class Networks:
    """Makes networks, and tells who has which address in them. Every call raises EngineError, NotFound or
    Unreachable."""

    def __init__(self, client: HostClient) -> None:
        self._client = client

    def create(self, name: str, *, subnet: str = "", dynamic: str = "") -> None:
        """Create a bridge network, with a `subnet` of which the engine itself gives away only the part `dynamic`, both
        in CIDR notation; without one it chooses."""
        body: dict[str, Any] = {"Name": name, "CheckDuplicate": True, "Driver": "bridge"}
        if subnet:
            body["IPAM"] = {"Driver": "default", "Config": [{"Subnet": subnet, "IPRange": dynamic}]}
        self._client.ask(f"network {name}", "POST", "/networks/create", body=body)

    def remove(self, name: str) -> None:
        """Remove a network in which no container is."""
        self._client.ask(f"network {name}", "DELETE", "/networks/{}", name)

    def move(self, container: str, name: str, address: str, aliases: Sequence[str]) -> None:
        """Give a container that does not run a fixed IPv4 address in a network, in the place of the one that it may
        have there; `aliases` are its other names."""
        with suppress(NotFound):  # it may have left it already
            self._client.ask(f"network {name}", "POST", "/networks/{}/disconnect", name, body={"Container": container})
        endpoint = {"Aliases": list(aliases), "IPAMConfig": {"IPv4Address": address}}
        joined = {"Container": container, "EndpointConfig": endpoint}
        self._client.ask(f"network {name}", "POST", "/networks/{}/connect", name, body=joined)

    def addresses(self, name: str) -> frozenset[str]:
        """The addresses in a network that containers have, or had and will have again."""
        what, params = "GET /containers", {"all": 1}
        return self._client.get(
            what, "/containers/json", params=params, read=lambda rows: answers.addresses_in(rows, name)
        )
