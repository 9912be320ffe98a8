"""What a use case gets besides its request: the environment variables, and a receiver of events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Events(Protocol):
    """Receives, from any thread, what a use case does. Its implementation must not raise."""

    def phase(self, text: str) -> None:
        """A stage that may take long begins."""

    def heading(self, text: str) -> None:
        """A section begins."""

    def note(self, text: str) -> None:
        """Progress."""

    def line(self, text: str) -> None:
        """A line of the result."""

    def warn(self, text: str) -> None:
        """A warning, which does not stop the use case."""

    def warn_once(self, text: str) -> None:
        """A warning that is shown only once."""

    def hide(self, secrets: Iterable[str]) -> None:
        """Show none of these in anything that is told from now on."""

    def json(self, kind: str, data: Mapping[str, Any]) -> None:
        """A document of the result."""


AskSecret = Callable[[str, bool], str]
"""Asks a person a question whose answer is secret; the second argument is whether to have it repeated."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """The context of a use case.

    `environ` are the environment variables; `outputs` is filled with values for a caller that continues (the release
    that was made); `vault_ids` are files with Ansible Vault passwords; without `ask_secret` no person can be asked.
    """

    events: Events
    environ: Mapping[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    vault_ids: tuple[str, ...] = ()
    run_inventory: bool = False
    ask_secret: AskSecret | None = None
