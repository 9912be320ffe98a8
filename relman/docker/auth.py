"""How an engine is told a registry's login: with each request alone (Engine API, "authentication")."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any


def auth_header(auth: Mapping[str, Any]) -> str:
    """The value of X-Registry-Auth or X-Registry-Config: JSON in URL-safe base64."""
    return base64.urlsafe_b64encode(json.dumps(dict(auth)).encode()).decode()


def login(config: Mapping[str, str] | None) -> dict[str, str]:
    """The headers of a request that needs one registry's login, if there is one."""
    return {"X-Registry-Auth": auth_header(config)} if config else {}
