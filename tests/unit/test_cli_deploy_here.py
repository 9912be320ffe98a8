"""Which service `relman deploy` means where an environment has several."""

from __future__ import annotations

from pathlib import Path

import pytest

from relman.app.environments import service_here
from relman.model.host import Environment
from relman.model.image import Repository


@pytest.mark.parametrize(("services", "expected"), [(("shop", "till"), "shop"), (("till", "money"), None)])
def test_a_checkout_says_its_service(
    services: tuple[str, ...], expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a checkout it is the service of its relman.yml, so far as the environment knows it; elsewhere, and where that
    file is broken, nobody says, and the person is asked for --service."""
    monkeypatch.chdir(tmp_path)
    chosen = Environment("production", (), {name: Repository("registry.example.com", name) for name in services})
    assert service_here(chosen) is None
    (tmp_path / "relman.yml").write_text("service: shop\nregistry: registry.example.com\n")
    assert service_here(chosen) == expected
    (tmp_path / "relman.yml").write_text(": [\n")
    assert service_here(chosen) is None
