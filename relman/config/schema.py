"""The schema of relman.yml, and the way from it to the model."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from relman.config import values
from relman.config.schema_base import (
    Argv,
    Env,
    PortNumber,
    PositiveDuration,
    Section,
    Word,
    exactly_one,
    parsed,
)
from relman.config.schema_deploy import Deploy
from relman.config.schema_policy import Rule
from relman.config.values import Faults
from relman.config.yaml import KeyPath
from relman.model import service as model
from relman.model.image import Repository
from relman.model.policy import Demands, Policy

Template = Annotated[str, parsed(values.tag_template)]


class Build(Section):
    """How the image is built."""

    context: Word = model.Build.context
    dockerfile: Word = model.Build.dockerfile
    args: Env = {}
    target: Word | None = None


class HttpWait(Section):
    """Ready when this path answers with a status from 200 to 399."""

    port: PortNumber
    path: Annotated[str, parsed(values.path)] = model.Wait.http_path


class Wait(Section):
    """When a linked service counts as ready."""

    healthcheck: Annotated[bool, parsed(values.true)] = False
    tcp: PortNumber | None = None
    http: HttpWait | None = None
    command: Argv | None = None
    timeout: PositiveDuration = model.Wait.timeout

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, ("healthcheck", "tcp", "http", "command"), "what to wait for", required=False)
        return self

    def value(self) -> model.Wait:
        """The model's wait."""
        port, path = (self.http.port, self.http.path) if self.http else (None, model.Wait.http_path)
        return model.Wait(self.tcp, port, path, self.command, self.timeout)


class LinkedService(Section):
    """A service container that tests are linked to."""

    image: Annotated[str, parsed(values.image)]
    env: Env = {}
    command: Argv | None = None
    ports: list[PortNumber] = []
    wait: Wait = Wait()


class Test(Section):
    """The test stage."""

    __test__ = False

    services: dict[Annotated[str, AfterValidator(values.alias)], LinkedService] = {}
    env: Env = {}
    commands: list[Argv] = []
    timeout: PositiveDuration = model.TestStage.timeout

    def value(self) -> model.TestStage:
        """The model's test stage."""
        linked = tuple(
            model.LinkedService(alias, s.image, s.env, s.command, tuple(s.ports), s.wait.value())
            for alias, s in self.services.items()
        )
        return model.TestStage(linked, self.env, tuple(self.commands), self.timeout)


class Release(Section):
    """Which tags a passed run gets, and what is demanded of its evidence."""

    tag: Template = model.ReleaseRules.tag
    channels: list[Template] = list(model.ReleaseRules.channels)
    trust: Word | None = None
    policy: list[Rule] | None = None

    @model_validator(mode="after")
    def _all_different(self) -> Self:
        faults: list[tuple[KeyPath, str]] = []
        for i, channel in enumerate(self.channels):
            if channel == self.tag:
                faults.append(
                    (("channels", i), "a channel moves and a release tag never does: they cannot be the same")
                )
            elif channel in self.channels[:i]:
                faults.append((("channels", i), "the same channel twice"))
        if faults:
            raise Faults(faults)
        return self


class RelmanFile(Section):
    """The whole of relman.yml."""

    service: Annotated[str, parsed(values.service_name)]
    registry: Annotated[str, parsed(values.registry)]
    repository: Annotated[str, parsed(values.repository)] | None = None
    build: Build = Build()
    test: Test = Test()
    release: Release = Release()
    deploy: Deploy = Deploy()

    def value(self, deploy: dict[str, object], root: str, policy: Policy) -> model.Service:
        """The model's service, with the deploy section and the policy as written."""
        trust = str(Path(root) / Path(self.release.trust).expanduser()) if self.release.trust else None
        return model.Service(
            name=self.service,
            repository=Repository(self.registry, self.repository or self.service),
            build=model.Build(self.build.context, self.build.dockerfile, self.build.args, self.build.target),
            test=self.test.value(),
            release=model.ReleaseRules(self.release.tag, tuple(self.release.channels), Demands(trust, policy)),
            deploy=deploy,
            root=root,
        )
