"""The schema of the test section."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, model_validator

from relman.config.schema import test_references, values, values_names, values_stages
from relman.config.schema.base import (
    Argv,
    Env,
    OneOrMore,
    PortNumber,
    PositiveDuration,
    Scalar,
    Section,
    Word,
    exactly_one,
    or_alone,
    parsed,
)
from relman.config.schema.lists import without_clash
from relman.config.schema.run import mounts_clash
from relman.config.schema.values import Faults
from relman.config.yaml_document import KeyPath
from relman.model import service as model
from relman.model.settings import Mount


class HttpWait(Section):
    """Ready when this path responds with a status from 200 to 399."""

    port: PortNumber
    path: Annotated[str, parsed(values_names.path)] = model.WaitFor.http_path


class WaitFor(Section):
    """When a linked service is ready."""

    healthcheck: Annotated[bool, parsed(values.true)] = False
    tcp: PortNumber | None = None
    http: HttpWait | None = None
    command: Argv | None = None
    timeout: PositiveDuration = model.WaitFor.timeout

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, ("healthcheck", "tcp", "http", "command"), "what to wait for", required=False)
        return self

    def value(self) -> model.WaitFor:
        """The model's wait."""
        port, path = (self.http.port, self.http.path) if self.http else (None, model.WaitFor.http_path)
        return model.WaitFor(self.tcp, port, path, self.command, self.timeout)


class LinkedService(Section):
    """A service container that tests are linked to."""

    image: Annotated[str, parsed(values_names.image)] | None = None
    release: Annotated[str, parsed(values_stages.release)] | None = None
    depends_on: list[Word] = []
    env: Env = {}
    command: Argv | None = None
    ports: list[PortNumber] = []
    volumes: Annotated[list[Annotated[Mount, parsed(values_stages.test_mount)]], without_clash(mounts_clash)] = []
    tmpfs: list[Annotated[tuple[str, str], parsed(values_stages.tmpfs)]] = []
    wait: WaitFor = WaitFor()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        exactly_one(self, ("image", "release"), "what it runs")
        return self

    def value(self, alias: str, registry: str, root: str) -> model.LinkedService:
        """The model's service: relative binds are resolved against `root`, a release without a registry is in
        `registry`."""
        return model.LinkedService(
            alias=alias,
            image=self.image or "",
            env=self.env,
            command=self.command,
            ports=tuple(self.ports),
            wait=self.wait.value(),
            release=values_stages.release_in(self.release, registry) if self.release else None,
            depends_on=tuple(self.depends_on),
            volumes=tuple(_below(root, mount) for mount in self.volumes),
            tmpfs=dict(self.tmpfs),
        )


def _below(root: str, mount: Mount) -> Mount:
    if not mount.source.startswith("."):
        return mount
    return Mount(str((Path(root) / mount.source).resolve()), mount.target, mount.read_only)


class TestCommand(Section):
    """A test command, alone or with options."""

    run: Argv
    name: Word | None = None
    timeout: PositiveDuration | None = None
    junit: Annotated[tuple[str, ...], parsed(values_stages.paths, OneOrMore)] | None = None
    retries: Annotated[int, parsed(values_stages.retries)] = model.TestCommand.retries
    allow_no_tests: bool = model.TestCommand.allow_no_tests
    image: Annotated[str, parsed(values_names.image)] | None = None
    stage: Annotated[str, parsed(values_stages.stage)] | None = None

    __get_pydantic_json_schema__ = or_alone({"type": ["string", "array"]})

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, given: object) -> object:
        return given if isinstance(given, dict) else {"run": list(values.argv(given))}

    @model_validator(mode="after")
    def _of_use(self) -> Self:
        exactly_one(self, ("image", "stage"), "where it runs", required=False)
        if self.allow_no_tests and not self.junit:
            raise Faults([(("allow_no_tests",), "nothing counts the tests: say with `junit` where the results are")])
        return self

    def value(self) -> model.TestCommand:
        """The model's command."""
        return model.TestCommand(
            self.run,
            self.name or "",
            self.timeout,
            self.junit or (),
            self.retries,
            self.allow_no_tests,
            self.image or "",
            self.stage or "",
        )


class Test(Section):
    """The test stage."""

    __test__ = False

    services: dict[Annotated[str, AfterValidator(values_names.alias)], LinkedService] = {}
    env: Env = {}
    commands: list[TestCommand] = []
    entrypoint: Annotated[
        tuple[str, ...] | str | None, parsed(values_stages.entrypoint, Literal["image"] | list[Scalar])
    ] = None
    timeout: PositiveDuration = model.TestStage.timeout
    smoke: bool = model.TestStage.smoke
    app: bool = model.TestStage.app

    @model_validator(mode="after")
    def _possible(self) -> Self:
        faults = [*self._dependencies(), *self._references(), *self._names(), *self._without_app()]
        if faults:
            raise Faults(faults)
        return self

    def _dependencies(self) -> Iterator[tuple[KeyPath, str]]:
        for alias, service in self.services.items():
            for i, other in enumerate(service.depends_on):
                if other not in self.services:
                    known = ", ".join(self.services)
                    yield ("services", alias, "depends_on", i), f"there is no service {other}; known: {known}"
        try:
            TopologicalSorter({alias: service.depends_on for alias, service in self.services.items()}).prepare()
        except CycleError as error:
            cycle = error.args[1][::-1]
            message = f"services depend on each other in a cycle: {' -> '.join(cycle)}"
            yield ("services", cycle[0], "depends_on"), message

    def _references(self) -> Iterator[tuple[KeyPath, str]]:
        yield from _unknown(("env",), self.env, list(self.services), "")
        for alias, service in self.services.items():
            hint = f"; {alias} may refer to what it names under depends_on"
            yield from _unknown(("services", alias, "env"), service.env, service.depends_on, hint)

    def _names(self) -> Iterator[tuple[KeyPath, str]]:
        if model.APP in self.services and (self.smoke or any(c.image or c.stage for c in self.commands)):
            yield ("services", model.APP), "this is the name of the image under test: call the service something else"
        seen = {"smoke"} if self.smoke else set[str]()
        for i, command in enumerate(self.commands):
            if command.name in seen:
                yield ("commands", i, "name"), "another command has this name"
            seen |= {command.name} if command.name else set()

    def _without_app(self) -> Iterator[tuple[KeyPath, str]]:
        if not self.app and self.smoke:
            yield ("app",), "a smoke test starts the image under test: remove one of them"
        elif not self.app and all(command.image or command.stage for command in self.commands):
            yield ("app",), "then nothing would run in the image under test: let one of the commands"

    def value(self, registry: str, root: str) -> model.TestStage:
        """The model's test stage."""
        linked = tuple(service.value(alias, registry, root) for alias, service in self.services.items())
        commands = tuple(command.value() for command in self.commands)
        return model.TestStage(linked, self.env, commands, self.timeout, self.entrypoint, self.smoke, self.app)


def _unknown(path: KeyPath, env: Mapping[str, Any], known: list[str], hint: str) -> Iterator[tuple[KeyPath, str]]:
    for name, text in env.items():
        try:
            test_references.check(text, known, hint)
        except ValueError as error:
            yield (*path, name), str(error)
