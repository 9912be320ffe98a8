"""What the schema's sections share. pydantic is imported only in this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, GetJsonSchemaHandler, PlainValidator, ValidationInfo

from relman.config.deploy_variables import is_open
from relman.config.schema import values, values_container, values_names
from relman.config.suggestions import shown
from relman.config.yaml_document import KeyPath

MOST = 1_000_000_000  # the largest count: relman.model.formats.untrusted_json, which reads counts back, has a limit too

OPEN = "open"


class Section(BaseModel):
    """A mapping with known keys only, and without type conversion. The keys of a `vocabulary` are words that may be
    nested, and not keys of the file. `elsewhere` are keys with the same names and meanings in another section."""

    vocabulary: ClassVar[bool] = False
    elsewhere: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Scalar = str | int | float | bool
OneOrMore = Scalar | list[Scalar]
"""The type in the JSON Schema for editors; `parse` validates exactly."""


def parsed(parse: Callable[[object], object], accepts: Any = Scalar) -> PlainValidator:
    """A value read by `parse`; `accepts` is its type in the JSON Schema for editors."""
    return PlainValidator(parse, json_schema_input_type=accepts)


def unless_open(parse: Callable[[object], object]) -> Callable[[object, ValidationInfo], object]:
    """`parse`, applied when variables are expanded; with the context OPEN, text with variables is kept."""

    def validate(value: object, info: ValidationInfo) -> object:
        if info.context == OPEN and isinstance(value, str) and is_open(value):
            return value
        return parse(value)

    return validate


def filled(parse: Callable[[object], object]) -> PlainValidator:
    """A value read by `parse` once its variables are filled in."""
    return PlainValidator(unless_open(parse), json_schema_input_type=Scalar)


def _one_of(*choices: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}; found {shown(value)}")
        return str(value)

    return check


def choice(*choices: str) -> PlainValidator:
    """One of these words."""
    return PlainValidator(_one_of(*choices), json_schema_input_type=Literal[choices])


def or_alone(other: dict[str, Any]) -> Any:
    """For a section with a shorter form: the hook that adds the form to the JSON Schema for editors."""

    def both(cls: type[BaseModel], core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:  # noqa: ARG001
        return {"anyOf": [handler(core), other]}

    return classmethod(both)


def exactly_one(section: Section, names: tuple[str, ...], what: str, *, required: bool = True) -> None:
    """Raise ValueError unless exactly one of these keys is given (or none, if not `required`)."""
    given = [name for name in names if name in section.model_fields_set]
    if len(given) > 1:
        raise ValueError(f"give one of {', '.join(given)}, not {len(given)} of them")
    if required and not given:
        raise ValueError(f"say {what}: one of {', '.join(names)}")


def section_of(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """The schema's section at this path, through lists and mappings; None if there is none."""
    kind: Any = model
    for step in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(step))
            kind = field.annotation if field else None
        else:
            kind = (get_args(kind) or (None,))[-1]
        kind = _without_none(kind)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _without_none(kind: Any) -> Any:
    options = [k for k in get_args(kind) if k is not type(None)]
    return options[0] if type(None) in get_args(kind) else kind


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of the schema, dotted; `NAME` stands for a key chosen by the writer, `[]` for an item of a list."""
    for name, field in model.model_fields.items():
        if name in getattr(model, "elsewhere", ()):
            continue
        yield prefix + name
        kind, dots = _without_none(field.annotation), f"{prefix}{name}."
        if getattr(kind, "__origin__", None) is dict:
            kind, dots = get_args(kind)[-1], f"{dots}NAME."
        elif getattr(kind, "__origin__", None) is list:
            kind, dots = get_args(kind)[-1], f"{prefix}{name}[]."
        if isinstance(kind, type) and issubclass(kind, BaseModel) and not getattr(kind, "vocabulary", False):
            yield from keys(kind, dots)


Text = Annotated[str, parsed(values.text)]
Word = Annotated[str, parsed(values.word)]
ShellName = Annotated[str, AfterValidator(values_names.shell_name)]
EnvName = Annotated[str, AfterValidator(values_names.env_name)]
Env = dict[EnvName, Text]
Argv = Annotated[tuple[str, ...], parsed(values.argv, OneOrMore)]
PortNumber = Annotated[int, parsed(values_container.port_number)]
Duration = Annotated[float, parsed(values.seconds)]
PositiveDuration = Annotated[float, parsed(values.positive_seconds)]
