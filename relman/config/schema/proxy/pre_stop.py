"""The schema of deploy.pre_stop: what a balancer that is not relman's needs before a container stops."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import model_validator

from relman.config.schema import values_names
from relman.config.schema.base import Argv, Duration, PortNumber, Section, exactly_one, filled
from relman.model import settings as model


class Request(Section):
    """A request to the container."""

    port: PortNumber
    path: Annotated[str, filled(values_names.path)] = model.PreStop.path


class PreStop(Section):
    """What is done before a container that serves is stopped."""

    http: Request | None = None
    command: Argv | None = None
    wait: Duration = model.PreStop.wait

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        exactly_one(self, ("http", "command"), "what is asked", required=False)
        if not self.model_fields_set:
            raise ValueError("say what is done: http, command, wait")
        return self

    def value(self) -> model.PreStop:
        """The model's."""
        http = self.http
        return model.PreStop(http.port if http else None, http.path if http else "/", self.command or (), self.wait)
