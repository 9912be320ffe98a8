"""What an engine has of one kind, with the labels that say whose it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relman.docker.answers import clock
from relman.docker.client import Client
from relman.docker.fields import Fields


@dataclass(frozen=True)
class Labelled:
    """A container, network, volume or image; `created` is in seconds since the epoch."""

    id: str
    names: tuple[str, ...]
    labels: Mapping[str, str]
    created: float

    @property
    def name(self) -> str:
        """Its first name, without the slash that containers have."""
        return next(iter(self.names), self.id).lstrip("/")


def containers(client: Client, label: str) -> list[Labelled]:
    """All containers with the label (`NAME` or `NAME=VALUE`), in whatever state. Raises EngineError or Unreachable."""
    params = {"all": 1, **_filter(label)}
    return client.get("cannot list containers", "/containers/json", params=params, read=_containers)


def networks(client: Client, label: str) -> list[Labelled]:
    """The networks with the label. Raises EngineError or Unreachable."""
    return client.get("cannot list networks", "/networks", params=_filter(label), read=_networks)


def volumes(client: Client, label: str) -> list[Labelled]:
    """The volumes with the label, whose names are their ids. Raises EngineError or Unreachable."""
    return client.get("cannot list volumes", "/volumes", params=_filter(label), read=_volumes)


def images(client: Client, label: str) -> list[Labelled]:
    """The images with the label, whose names are their tags. Raises EngineError or Unreachable."""
    return client.get("cannot list images", "/images/json", params=_filter(label), read=_images)


def _filter(label: str) -> dict[str, str]:
    return {"filters": json.dumps({"label": [label]})}


def _containers(rows: Any) -> list[Labelled]:
    return [
        Labelled(row.id("Id"), row.texts("Names"), row.pairs("Labels"), row.number("Created"))
        for row in Fields.all_of(rows)
    ]


def _networks(rows: Any) -> list[Labelled]:
    return [
        Labelled(row.text("Id", needed=True), (row.text("Name"),), row.pairs("Labels"), clock(row.text("Created")))
        for row in Fields.all_of(rows)
    ]


def _volumes(answer: Any) -> list[Labelled]:
    rows = Fields.of(answer).each("Volumes")
    names = [row.text("Name", needed=True) for row in rows]
    return [
        Labelled(name, (name,), row.pairs("Labels"), clock(row.text("CreatedAt")))
        for name, row in zip(names, rows, strict=True)
    ]


def _images(rows: Any) -> list[Labelled]:
    return [
        Labelled(str(row.image_id("Id")), row.texts("RepoTags"), row.pairs("Labels"), row.number("Created"))
        for row in Fields.all_of(rows)
    ]
