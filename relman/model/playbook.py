"""A playbook: a release procedure as a list of stages. Texts are as written, with their variables still open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

OUTPUTS = ("release", "digest")
"""What a stage that promotes makes known to the stages after it, as variables."""


@dataclass(frozen=True)
class Verb:
    """Run a command of relman's, as typed: its name and its arguments. `promotes` when it sets OUTPUTS."""

    argv: tuple[str, ...]

    @property
    def name(self) -> str:
        """The command."""
        return self.argv[0]

    @property
    def promotes(self) -> bool:
        """Whether OUTPUTS are known after it."""
        return self.name in ("ci", "promote")

    @property
    def texts(self) -> tuple[str, ...]:
        """What is filled in."""
        return self.argv


@dataclass(frozen=True)
class Command:
    """Run a program of the reader's; a text for the shell is not filled in: the shell has the variables itself."""

    argv: tuple[str, ...]

    @property
    def is_text(self) -> bool:
        """Whether it was given as one text."""
        return self.argv[:2] == ("/bin/sh", "-c")

    @property
    def texts(self) -> tuple[str, ...]:
        """What is filled in."""
        return () if self.is_text else self.argv


@dataclass(frozen=True)
class Http:
    """Ask for a URL until it answers with `status` (0: any from 200 to 399); `ca` is a file of CA certificates."""

    url: str
    status: int = 0
    ca: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """What is filled in."""
        return (self.url, self.ca)


@dataclass(frozen=True)
class Wait:
    """Do nothing for `seconds`."""

    seconds: float

    @property
    def texts(self) -> tuple[str, ...]:
        """What is filled in."""
        return ()


@dataclass(frozen=True)
class Confirm:
    """Go on only when a person says so."""

    question: str

    @property
    def texts(self) -> tuple[str, ...]:
        """What is filled in."""
        return (self.question,)


Action: TypeAlias = Verb | Command | Http | Wait | Confirm


@dataclass(frozen=True)
class Stage:
    """One stage: what is done, what it is called if that is not enough, and after how many seconds it is given up."""

    action: Action
    name: str = ""
    timeout: float | None = None


@dataclass(frozen=True)
class Playbook:
    """A whole playbook; `digest` is the sha256 of its file. A variable that is None has to be given."""

    file: str
    digest: str
    stages: tuple[Stage, ...]
    variables: Mapping[str, str | None] = field(default_factory=dict)
    description: str = ""

    def known_before(self) -> Iterator[frozenset[str]]:
        """For each stage the variables that have a value by then."""
        known = frozenset(self.variables)
        for stage in self.stages:
            yield known
            if isinstance(stage.action, Verb) and stage.action.promotes:
                known |= frozenset(OUTPUTS)
