"""Fill in references in the environment of tests and services (relman.config.schema.test_references)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from relman.ci.testing.links import LinkPort
from relman.config.schema import test_references
from relman.config.schema.test_references import Name
from relman.model.errors import UsageError
from relman.model.run import RunName
from relman.model.service import TestStage


class Known(Protocol):
    """What is known about a linked service; the address is empty until it is started."""

    @property
    def address(self) -> str:
        """Its address in the run's network."""

    @property
    def ports(self) -> tuple[LinkPort, ...]:
        """Its open ports, lowest first."""

    @property
    def env(self) -> Mapping[str, str]:
        """Its environment variables."""


@dataclass(frozen=True)
class Values:
    """The sources of values: the run, the CI's environment, and the services known so far."""

    run: RunName
    environ: Mapping[str, str]

    def fill(self, env: Mapping[str, str], services: Mapping[str, Known]) -> dict[str, str]:
        """The variables with every reference replaced. Raises ValueError if one has no value."""
        return {key: test_references.fill(text, lambda name: self.of(name, services)) for key, text in env.items()}

    def of(self, name: Name, services: Mapping[str, Known]) -> str | None:
        """The value of one reference, or None."""
        if name.kind == "run":
            return str(self.run)
        if name.kind == "secret":
            return self.environ.get(name.item) or None  # CI systems set a missing secret to an empty text
        service = services[name.alias]
        if name.kind == "host":
            return service.address
        return service.env.get(name.item) if name.kind == "env" else port_of(service.ports, name.item)


def port_of(ports: Iterable[LinkPort], number: str) -> str | None:
    """The port with this number if it is open; without a number, the lowest TCP port, else the lowest."""
    if number:
        return number if any(number == str(n) for n, _ in ports) else None
    lowest = sorted(ports, key=lambda port: (port[1] != "tcp", port[0]))[:1]
    return str(lowest[0][0]) if lowest else None


def secrets_of(stage: TestStage, environ: Mapping[str, str]) -> list[str]:
    """The values of all secrets that the stage refers to."""
    texts = [text for _, env in _environments(stage) for text in env.values()]
    used = {name.item for text in texts for name in test_references.names(text) if name.kind == "secret"}
    return [environ[name] for name in sorted(used) if environ.get(name)]


def require_values(stage: TestStage, values: Values, services: Mapping[str, Known]) -> None:
    """Raise UsageError, listing every reference without a value, before anything is started.

    Ports and variables of services are known by then; addresses are assigned later.
    """
    there = {alias: _Expected(known.ports, known.env) for alias, known in services.items()}
    faults = list(_faults(stage, lambda env: values.fill(env, there)))
    if faults:
        hint = "Set the secret in the CI's environment, add the port to the service's `ports`, or give `${name:-text}`."
        raise UsageError("the tests' environment cannot be filled in", hint=hint, details=faults)


@dataclass(frozen=True)
class _Expected:
    """A service that is not started yet."""

    ports: tuple[LinkPort, ...]
    env: Mapping[str, str]
    address: str = "some address"


def _environments(stage: TestStage) -> Iterator[tuple[str, Mapping[str, str]]]:
    yield "test.env", stage.env
    for service in stage.services:
        yield f"test.services.{service.alias}.env", service.env


def _faults(stage: TestStage, fill: Callable[[Mapping[str, str]], object]) -> Iterator[str]:
    for where, env in _environments(stage):
        for name, text in env.items():
            try:
                fill({name: text})
            except ValueError as error:
                yield f"{where}.{name}: {error}"
