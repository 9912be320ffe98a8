"""The schema of relman.yml, and its conversion to the model."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from relman.config.schema import values_names, values_stages
from relman.config.schema.base import Argv, Section, ShellName, Text, Word, exactly_one, parsed
from relman.config.schema.deploy import Deploy
from relman.config.schema.policy import Rule
from relman.config.schema.test import Test
from relman.config.schema.values import Faults
from relman.config.yaml_document import KeyPath
from relman.model import service as model
from relman.model.image import Platform, Repository
from relman.model.policy import Demands, Policy

Template = Annotated[str, parsed(values_names.tag_template)]


class BuildSecret(Section):
    """The source of a build secret."""

    env: Annotated[ShellName, AfterValidator(values_names.not_relman_s)] | None = None
    file: Word | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        exactly_one(self, ("env", "file"), "where the secret is")
        return self


class Build(Section):
    """How the image is built."""

    context: Word = model.Build.context
    dockerfile: Word = model.Build.dockerfile
    args: dict[ShellName, Text] = {}
    target: Word | None = None
    platform: Annotated[str | None, parsed(values_names.platform, Word | None)] = None
    secrets: dict[Annotated[str, AfterValidator(values_stages.secret_id)], BuildSecret] = {}
    cache_from: list[Annotated[str, parsed(values_names.image)]] = []

    def value(self) -> model.Build:
        """The model's build."""
        secrets = tuple(model.BuildSecret(id, s.env or "", s.file or "") for id, s in self.secrets.items())
        platform = Platform.parse(self.platform) if self.platform else None
        cache = tuple(self.cache_from)
        return model.Build(self.context, self.dockerfile, self.args, self.target, secrets, cache, platform)


class Library(Section):
    """How a shared library is released."""

    index: Annotated[str, parsed(values_stages.index_url)]
    build: Argv = model.Library.build
    dist: Word = model.Library.dist
    git_tag: Annotated[str, parsed(values_stages.git_tag)] = model.Library.git_tag
    remote: Annotated[str, parsed(values_stages.remote)] = model.Library.remote

    def value(self) -> model.Library:
        """The model's library."""
        return model.Library(self.index, self.build, self.dist, self.git_tag, self.remote)


class ReleaseRules(Section):
    """The tags of a release and the requirements on its evidence, or where a shared library is published."""

    tag: Template = model.ReleaseRules.tag
    channels: list[Template] = list(model.ReleaseRules.channels)
    trust: Word | None = None
    policy: list[Rule] | None = None
    library: Library | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        for_images = ("tag", "channels", "trust", "policy")
        useless = [name for name in for_images if self.library and name in self.model_fields_set]
        if useless:
            raise Faults([((name,), "a library's image gets no tag: remove this, or `library`") for name in useless])
        return self

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

    def value(self, demands: Demands) -> model.ReleaseRules:
        """The model's rules."""
        library = self.library.value() if self.library else None
        return model.ReleaseRules(self.tag, tuple(self.channels), demands, library)


class RelmanFile(Section):
    """The whole of relman.yml."""

    service: Annotated[str, parsed(values_names.service_name)]
    registry: Annotated[str, parsed(values_names.registry)]
    repository: Annotated[str, parsed(values_names.repository)] | None = None
    build: Build = Build()
    test: Test = Test()
    release: ReleaseRules = ReleaseRules()
    deploy: Deploy = Deploy()

    def value(self, deploy: dict[str, object], root: str, policy: Policy) -> model.Service:
        """The model's service, with the deploy section and the policy as written."""
        trust = str(Path(root) / Path(self.release.trust).expanduser()) if self.release.trust else None
        return model.Service(
            name=self.service,
            repository=Repository(self.registry, self.repository or self.service),
            build=self.build.value(),
            test=self.test.value(self.registry, root),
            release=self.release.value(Demands(trust, policy)),
            deploy=deploy,
            root=root,
        )
