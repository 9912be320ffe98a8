"""The schema of a container's health: relman's check, and the engine's own."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ModelWrapValidatorHandler, WrapValidator, model_validator

from relman.config.schema import values, values_names
from relman.config.schema.base import (
    MOST,
    Argv,
    Duration,
    PortNumber,
    PositiveDuration,
    Section,
    exactly_one,
    filled,
    parsed,
)
from relman.model import settings as model
from relman.model.settings import Probe


def _once(headers: dict[str, str]) -> dict[str, str]:
    names = [name.lower() for name in headers]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ValueError(f"the header {twice} is given twice")
    return headers


class HttpHealth(Section):
    """relman requests this path and expects a status from 200 to 399."""

    port: PortNumber
    path: Annotated[str, filled(values_names.path)] = model.Health.path
    host: Annotated[str, filled(values_names.http_host)] | None = None
    headers: Annotated[
        dict[
            Annotated[str, AfterValidator(values_names.header_name)],
            Annotated[str, filled(values_names.header_value)],
        ],
        AfterValidator(_once),
    ] = {}


class Tcp(Section):
    """relman connects to this port."""

    port: PortNumber


class Health(Section):
    """How relman checks that a container is healthy."""

    http: HttpHealth | None = None
    tcp: Tcp | None = None
    command: Argv | None = None
    image: Annotated[bool, parsed(values.true)] = False
    none: Annotated[bool, parsed(values.true)] = False
    window: Duration = model.Health.window
    timeout: PositiveDuration = model.Health.timeout
    interval: PositiveDuration = model.Health.interval

    @model_validator(mode="after")
    def _one_probe(self) -> Self:
        exactly_one(self, tuple(str(probe) for probe in Probe), "how health is known")
        return self

    def value(self) -> model.Health:
        """The model's health check."""
        times: dict[str, Any] = {"window": self.window, "timeout": self.timeout, "interval": self.interval}
        if http := self.http:
            return model.Health(
                Probe.HTTP, http.port, http.path, host=http.host or "", headers=dict(http.headers), **times
            )
        if self.tcp:
            return model.Health(Probe.TCP, self.tcp.port, **times)
        if self.command:
            return model.Health(Probe.COMMAND, command=self.command, **times)
        return model.Health(Probe.IMAGE if self.image else Probe.NONE, **times)


class Healthcheck(Section):
    """The engine's own check, in place of the image's HEALTHCHECK."""

    command: Argv | None = None
    interval: PositiveDuration | None = None
    timeout: PositiveDuration | None = None
    start_period: Duration | None = None
    retries: Annotated[int, Field(ge=1, le=MOST)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("say what differs from the image's HEALTHCHECK, or false to switch it off")
        return self

    def value(self) -> model.Healthcheck:
        """The model's check."""
        if self is OFF:
            return model.Healthcheck(off=True)
        return model.Healthcheck(False, self.command, self.interval, self.timeout, self.start_period, self.retries)


OFF = Healthcheck.model_construct()


def _or_off(given: object, handler: ModelWrapValidatorHandler[Healthcheck]) -> Healthcheck:
    if given is True:
        raise ValueError("expected keys and values, or false to switch it off")
    return OFF if given is False else handler(given)


HealthcheckOrOff = Annotated[
    Healthcheck | None, WrapValidator(_or_off, json_schema_input_type=Healthcheck | Literal[False] | None)
]
