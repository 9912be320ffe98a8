"""The schema of a playbook."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from typing import Annotated, Self

from pydantic import model_validator

from relman.config.schema import values, values_stages
from relman.config.schema.base import (
    Argv,
    PositiveDuration,
    Scalar,
    Section,
    ShellName,
    Text,
    Word,
    exactly_one,
    or_alone,
    parsed,
)
from relman.config.schema.values import Faults
from relman.config.yaml_document import KeyPath
from relman.model import playbook as model

ACTIONS = ("ci", "promote", "deploy", "rollback", "check", "wait", "confirm")
_ALONE = ("ci", "promote")  # may be written without options


def _argv(*words: str, **options: str | None) -> tuple[str, ...]:
    """A command line, with an option for each value that is not empty."""
    given = ((f"--{name.replace('_', '-')}", value) for name, value in options.items() if value)
    return (*words, *(word for pair in given for word in pair))


class Ci(Section):
    """Build, test and promote: `relman ci`."""

    file: Word | None = None
    run: Word | None = None
    image_version: Word | None = None
    build_args: dict[ShellName, Text] = {}
    results: Word | None = None

    def value(self) -> model.Action:
        """The model's action."""
        arguments = [word for name, text in self.build_args.items() for word in ("--build-arg", f"{name}={text}")]
        options = {"file": self.file, "run": self.run, "image_version": self.image_version, "results": self.results}
        return model.Verb((*_argv("ci", **options), *arguments))


class Gated(Section):
    """A command that evaluates gates, some of which can be skipped with a reason."""

    reason: Word | None = None
    unsafe_skip_gate: list[Word] = []

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        if self.unsafe_skip_gate and not self.reason:
            raise Faults([(("unsafe_skip_gate",), "reason is required: say why")])
        return self

    @property
    def skips(self) -> tuple[str, ...]:
        """The options that skip gates."""
        return tuple(word for gate in self.unsafe_skip_gate for word in ("--unsafe-skip-gate", gate))


class Promote(Gated):
    """Release what was tested: `relman promote`."""

    file: Word | None = None
    run: Word | None = None
    image: Word | None = None
    results: Word | None = None

    def value(self) -> model.Action:
        """The model's action."""
        options = {"file": self.file, "run": self.run, "image": self.image, "results": self.results}
        return model.Verb((*_argv("promote", **options, reason=self.reason), *self.skips))


class Rollback(Section):
    """Return to the previous release: `relman rollback`."""

    environment: Word
    inventory: Word | None = None
    service: Word | None = None
    max_unavailable: Word | None = None
    reason: Word | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """The options that deploy and rollback share."""
        return _argv(
            "--yes",
            environment=self.environment,
            inventory=self.inventory,
            service=self.service,
            max_unavailable=self.max_unavailable,
            reason=self.reason,
        )

    def value(self) -> model.Action:
        """The model's action."""
        return model.Verb(("rollback", *self.options))


class DeployAction(Gated, Rollback):
    """Deploy a release: `relman deploy`."""

    release: Word

    def value(self) -> model.Action:
        """The model's action."""
        return model.Verb(("deploy", *self.options, *self.skips, "--", self.release))


class Http(Section):
    """Passes when this URL responds as expected."""

    url: Word
    status: Annotated[int, parsed(values_stages.http_status)] = model.Http.status
    ca: Word | None = None


class CheckAction(Section):
    """Check whether the service works."""

    command: Argv | None = None
    http: Http | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, ("command", "http"), "what to check")
        return self

    def value(self) -> model.Action:
        """The model's action."""
        if self.http:
            return model.Http(self.http.url, self.http.status, self.http.ca or "")
        return model.Command(self.command or ())


class Stage(Section):
    """One stage: one of the actions."""

    name: Word | None = None
    timeout: PositiveDuration | None = None
    ci: Ci | None = None
    promote: Promote | None = None
    deploy: DeployAction | None = None
    rollback: Rollback | None = None
    check: CheckAction | None = None
    wait: PositiveDuration | None = None
    confirm: Text | None = None

    __get_pydantic_json_schema__ = or_alone({"enum": list(_ALONE)})

    @model_validator(mode="before")
    @classmethod
    def _without_options(cls, given: object) -> object:
        if isinstance(given, str) and given in _ALONE:
            return {given: {}}
        if isinstance(given, dict):
            return {key: {} if value is None and key in _ALONE else value for key, value in given.items()}
        return given

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        exactly_one(self, ACTIONS, "what to do")
        if self.timeout and (self.wait or self.confirm):
            raise Faults([(("timeout",), "it has no meaning for wait and confirm")])
        return self

    def value(self) -> model.Stage:
        """The model's stage."""
        return model.Stage(self._action(), self.name or "", self.timeout)

    def _action(self) -> model.Action:
        if self.wait:
            return model.Wait(self.wait)
        section = self.ci or self.promote or self.deploy or self.rollback or self.check
        return section.value() if section else model.Confirm(self.confirm or "")


def _text_or_none(value: object) -> str | None:
    return None if value is None else values.text(value)


class PlaybookFile(Section):
    """The whole of a playbook."""

    description: Text = ""
    vars: dict[ShellName, Annotated[str | None, parsed(_text_or_none, Scalar | None)]] = {}
    stages: list[Stage]

    @model_validator(mode="after")
    def _of_use(self) -> Self:
        faults: list[tuple[KeyPath, str]] = []
        if not self.stages:
            faults.append((("stages",), "a playbook needs at least one stage"))
        promoting = next((kind for stage in self.stages for kind in ("ci", "promote") if getattr(stage, kind)), None)
        for name in model.OUTPUTS if promoting else ():
            if name in self.vars:
                faults.append((("vars", name), f"the stage {promoting} sets this variable: name yours otherwise"))
        if faults:
            raise Faults(faults)
        return self
