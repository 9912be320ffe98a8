"""A playbook: a release procedure as a list of stages. Texts contain their variables unexpanded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

OUTPUTS = ("release", "digest")
"""The variables that a promoting stage sets for later stages."""


@dataclass(frozen=True)
class Verb:
    """Run a relman command: its name and arguments. `promotes` if it sets OUTPUTS."""

    argv: tuple[str, ...]

    @property
    def name(self) -> str:
        """The command's name."""
        return self.argv[0]

    @property
    def promotes(self) -> bool:
        """Whether OUTPUTS are set after it."""
        return self.name in ("ci", "promote")

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts in which variables are expanded."""
        return self.argv


@dataclass(frozen=True)
class Command:
    """Run a program. Variables in a shell text are not expanded here: the shell gets them in its environment."""

    argv: tuple[str, ...]

    @property
    def is_text(self) -> bool:
        """Whether it was given as one text for the shell."""
        return self.argv[:2] == ("/bin/sh", "-c")

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts in which variables are expanded."""
        return () if self.is_text else self.argv


@dataclass(frozen=True)
class Http:
    """Request a URL until it responds with `status` (0: any from 200 to 399); `ca` is a file of CA certificates."""

    url: str
    status: int = 0
    ca: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts in which variables are expanded."""
        return (self.url, self.ca)


@dataclass(frozen=True)
class Wait:
    """Wait for `seconds`."""

    seconds: float

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts in which variables are expanded."""
        return ()


@dataclass(frozen=True)
class Confirm:
    """Continue only if a person confirms."""

    question: str

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts in which variables are expanded."""
        return (self.question,)


Action: TypeAlias = Verb | Command | Http | Wait | Confirm


@dataclass(frozen=True)
class Stage:
    """One stage: its action, its name if it has one, and its timeout in seconds."""

    action: Action
    name: str = ""
    timeout: float | None = None


@dataclass(frozen=True)
class Playbook:
    """A playbook; `digest` is the SHA-256 of its file. A variable whose value is None must be given by the caller."""

    file: str
    digest: str
    stages: tuple[Stage, ...]
    variables: Mapping[str, str | None] = field(default_factory=dict)
    description: str = ""

    def known_before(self) -> Iterator[frozenset[str]]:
        """The variables that are set before each stage."""
        known = frozenset(self.variables)
        for stage in self.stages:
            yield known
            if isinstance(stage.action, Verb) and stage.action.promotes:
                known |= frozenset(OUTPUTS)
