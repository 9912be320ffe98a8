"""What a deployment takes away once it is recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relman.model.errors import EngineError
from tests.unit.model_fleet import serving
from tests.unit.model_host import ModelEngine, ModelHost
from tests.unit.values import PORT


def test_an_engine_that_trips_over_two_names_of_one_image_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker fails to take a name off an image that it is deleting for another name: both names go, and nobody is
    warned of an image that stays."""
    tripped: set[str] = set()
    remove = ModelEngine.remove_image

    def trip(engine: ModelEngine, reference: str) -> None:
        host: ModelHost = engine._host
        if host.name not in tripped:
            tripped.add(host.name)
            raise EngineError(f"image {reference}: unrecognized image ID", host=host.name, status=500)
        remove(engine, reference)

    world = serving(2, replace(PORT, keep=1), "1", "2")
    monkeypatch.setattr(ModelEngine, "remove_image", trip)
    assert world.deploy("3").error is None
    assert tripped == {"h1", "h2"}
    assert not [line for line in world.watcher.said if "pruned" in line]
    world.tidy()
