"""Passwords in variables are for what they name, whatever a branch writes into its relman.yml."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli import relman

BRANCH = "service: shop\nregistry: registry.branch.example:5000\n"
COMMANDS = [
    ("build", "--run", "shop/1"),
    ("test", "--run", "shop/1"),
    ("promote", "--run", "shop/1"),
    ("promote", "--image", "1"),
    ("promote", "1", "--to", "registry.branch.example:5000/other"),
    ("ci", "--run", "shop/1"),
    ("releases",),
    ("evidence", "1"),
    ("verify", "1"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_password_that_names_no_registry_goes_to_none(command: tuple[str, ...], tmp_path: Path) -> None:
    """Where a checkout's file says which registry is used, the user and the password alone are refused, with what to
    set, before any engine or registry is asked."""
    (tmp_path / "relman.yml").write_text(BRANCH)
    env = {"RELMAN_REGISTRY_USERNAME": "ci", "RELMAN_REGISTRY_PASSWORD": "s3cret", "DOCKER_HOST": "unix:///nothing"}
    said = relman(*command, cwd=tmp_path, env=env)
    assert said.returncode == 2
    assert "RELMAN_REGISTRY_USERNAME and RELMAN_REGISTRY_PASSWORD are set, and RELMAN_REGISTRY is not" in said.stderr
    assert "s3cret" not in said.stderr


def test_a_password_of_an_index_too(tmp_path: Path) -> None:
    """The package index that a library's file names is asked for in the same way; a service has none."""
    env = {"RELMAN_INDEX_PASSWORD": "s3cret", "DOCKER_HOST": "unix:///nothing"}
    (tmp_path / "relman.yml").write_text(BRANCH)
    assert "RELMAN_INDEX" not in relman("build", "--run", "shop/1", cwd=tmp_path, env=env).stderr
    (tmp_path / "relman.yml").write_text(BRANCH + "release: {library: {index: https://packages.branch.example/}}\n")
    said = relman("build", "--run", "shop/1", cwd=tmp_path, env=env)
    assert said.returncode == 2
    assert "RELMAN_INDEX_PASSWORD is set, and RELMAN_INDEX is not" in said.stderr
