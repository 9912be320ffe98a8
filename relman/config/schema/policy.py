"""The schema of a policy: a list of rules that must all pass, each with one key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from relman.config.schema import values
from relman.config.schema.base import MOST, Duration, OneOrMore, PositiveDuration, Section, Word, exactly_one, parsed
from relman.config.suggestions import kind_of, nearest, shown
from relman.model import policy as model
from relman.model.predicates import SHORT

Yes = Annotated[bool, parsed(values.true)]


def predicate_type(value: object) -> str:
    """A predicate type: one of the short names, or a URI."""
    found = values.word(value)
    if found in SHORT:
        return SHORT[found]
    if ":" in found:
        return found
    near = nearest(found, SHORT)
    known = f"did you mean {near}?" if near else f"known are {', '.join(SHORT)}, or write its URI"
    raise ValueError(f"unknown type of statements {shown(found)}; {known}")


def one_or_more(value: object) -> tuple[str, ...]:
    """One text or a list of texts."""
    found = value if isinstance(value, list) else [value]
    if not found:
        raise ValueError(f"expected at least one, found {kind_of(value)}")
    return tuple(values.word(item) for item in found)


Type = Annotated[str, parsed(predicate_type)]
Words = Annotated[tuple[str, ...], parsed(one_or_more, OneOrMore)]


class ProvenIn(Section):
    """Proven good in another environment."""

    environment: Word
    at_least: Duration = model.ProvenIn.seconds


class Attested(Section):
    """A statement that must exist."""

    type: Type
    signers: Words = ()


class Rule(Section):
    """One rule: exactly one of these keys."""

    vocabulary: ClassVar[bool] = True

    minimum_tests: Annotated[int, Field(ge=1, le=MOST)] | None = None
    no_failures: Yes = False
    no_flaky: Yes = False
    maximum_age: PositiveDuration | None = None
    branch: Words | None = None
    clean_checkout: Yes = False
    proven_in: ProvenIn | None = None
    statement: Attested | None = None
    all: list[Rule] | None = None
    any: list[Rule] | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        exactly_one(self, tuple(type(self).model_fields), "what is demanded")
        return self

    def value(self) -> model.Rule:
        """The model's rule."""
        return _READ[next(iter(self.model_fields_set))](self)


_READ: Mapping[str, Callable[[Any], model.Rule]] = {
    "minimum_tests": lambda r: model.MinimumTests(r.minimum_tests),
    "no_failures": lambda _: model.NoFailures(),
    "no_flaky": lambda _: model.NoFlaky(),
    "maximum_age": lambda r: model.MaximumAge(r.maximum_age),
    "branch": lambda r: model.Branch(r.branch),
    "clean_checkout": lambda _: model.CleanCheckout(),
    "proven_in": lambda r: model.ProvenIn(r.proven_in.environment, r.proven_in.at_least),
    "statement": lambda r: model.Attested(r.statement.type, r.statement.signers),
    "all": lambda r: model.AllOf(tuple(rule.value() for rule in r.all)),
    "any": lambda r: model.AnyOf(tuple(rule.value() for rule in r.any)),
}


class PolicyFile(Section):
    """A policy below a key, so that its faults have paths."""

    policy: list[Rule]

    def value(self) -> model.Rule:
        """The model's rule for the whole."""
        return model.AllOf(tuple(rule.value() for rule in self.policy))
