"""Read what an inventory grants to a service (relman_allow)."""

from __future__ import annotations

from relman.config.suggestions import did_you_mean, kind_of, shown
from relman.model.grants.permissions import Permission


def permissions(value: object) -> tuple[Permission, ...]:
    """A list of permissions."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list of {', '.join(Permission)}; found {kind_of(value)}")  # noqa: TRY004
    return tuple(map(_permission, value))


def _permission(value: object) -> Permission:
    if value not in list(Permission):
        near = did_you_mean(str(value), Permission) or f"; known are {', '.join(Permission)}"
        raise ValueError(f"unknown permission {shown(value)}{near}")
    return Permission(str(value))
