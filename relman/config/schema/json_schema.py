"""The JSON Schema (2020-12, https://json-schema.org/draft/2020-12) of relman's files, with which editors complete and
check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _relman_yml() -> type[BaseModel]:
    from relman.config.schema.service import RelmanFile

    return RelmanFile


def _playbook() -> type[BaseModel]:
    from relman.config.schema.playbook import PlaybookFile

    return PlaybookFile


KINDS: Mapping[str, Callable[[], type[BaseModel]]] = {"relman": _relman_yml, "playbook": _playbook}


def json_schema(kind: str) -> dict[str, Any]:
    """The schema of one of KINDS. It covers keys and types; `relman check` covers the rest."""
    made = KINDS[kind]().model_json_schema()
    return {"$schema": _DIALECT, **_without_titles(made)}


def _without_titles(tree: Any) -> Any:
    """Remove pydantic's titles, which repeat the keys."""
    if isinstance(tree, list):
        return [_without_titles(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {key: _without_titles(value) for key, value in tree.items() if key != "title" or not isinstance(value, str)}
