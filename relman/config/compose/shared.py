"""What the processes of one image share, and what each has of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def shared_keys(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """What all processes say; of their variables those that are the same, unless files may have them, too."""
    first, *others = parts
    found = {k: v for k, v in first.items() if k != "replicas" and all(o.get(k) == v for o in others)}
    if not any("env_file" in part for part in parts):
        envs = [part.get("env", {}) for part in parts]
        same = {k: v for k, v in envs[0].items() if all(env.get(k) == v for env in envs)}
        found |= {"env": same} if same else {}
    return found


def own_keys(part: dict[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """What one process says beside what is shared."""
    found = {key: value for key, value in part.items() if shared.get(key) != value}
    if "env" in found:
        found["env"] = {k: v for k, v in part["env"].items() if k not in shared.get("env", {})}
    return {key: value for key, value in found.items() if value != {}}
