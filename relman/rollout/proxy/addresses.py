"""The fixed addresses of containers in the proxy's network. Pure.

Docker gives a fixed address only in a subnet that was given, and may give any address of it to others; so the network
is made with a subnet whose upper half is the engine's, and relman gives away the lower one.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address, ip_network
from itertools import islice


def halves(subnet: str) -> tuple[str, str]:
    """The lower and the upper half of a subnet in CIDR notation. Raises ValueError for one without room."""
    lower, upper = ip_network(subnet).subnets(1)
    return str(lower), str(upper)


def free(subnet: str, taken: Collection[str], count: int) -> tuple[str, ...]:
    """The lowest `count` addresses of the lower half of a subnet that nobody has; its first address is the gateway's.
    Raises ValueError if there are not so many."""
    lower = ip_network(halves(subnet)[0])
    gateway = ip_network(subnet).network_address + 1
    unusable = {lower.network_address, gateway, *(ip_address(each) for each in taken)}
    found = tuple(str(each) for each in islice((each for each in lower if each not in unusable), count))
    if len(found) < count:
        raise ValueError(f"the lower half of {subnet} has no free address left")
    return found
