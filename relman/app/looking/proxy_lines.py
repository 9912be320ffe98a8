"""The lines that a host's proxy writes of the requests to services, told from all else in its log. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection


def requests_to(environment: str, services: Collection[str]) -> Callable[[str], bool]:
    """Whether a line of a proxy's log, which begins with the engine's timestamp, is of a request to one of them."""
    names = {f"{environment}:{service}" for service in services}

    def takes(line: str) -> bool:
        text = line.partition(" ")[2]
        if not text.startswith("{"):
            return False
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return False
        return isinstance(found, dict) and found.get("service") in names

    return takes
