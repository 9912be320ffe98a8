"""What a use case gets besides its request: the variables that were set, and somebody who is told what goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Events(Protocol):
    """Is told, from any thread, what a use case does. Nothing that it does ends the use case."""

    def phase(self, text: str) -> None:
        """A stage that may be long begins."""

    def heading(self, text: str) -> None:
        """Something begins."""

    def note(self, text: str) -> None:
        """What is going on."""

    def line(self, text: str) -> None:
        """A line of the result."""

    def warn(self, text: str) -> None:
        """Something to know of that does not stop the use case."""

    def warn_once(self, text: str) -> None:
        """The same, where it would be said again and again."""

    def json(self, kind: str, data: Mapping[str, Any]) -> None:
        """A document of the result."""


AskSecret = Callable[[str, bool], str]
"""Asks a person for a secret, by a question; whether to have it repeated."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """`environ` are the variables that were set, `outputs` what is told to whoever goes on from here (the release that
    was made), `vault_ids` files with passwords of Ansible Vault; without `ask_secret` nobody can be asked."""

    events: Events
    environ: Mapping[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    vault_ids: tuple[str, ...] = ()
    run_inventory: bool = False
    ask_secret: AskSecret | None = None
