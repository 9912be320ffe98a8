"""The sample applications: what can be said of them without an engine."""

from dataclasses import asdict

import pytest

from relman.config.service import check_service
from tests.apps import HAPROXY, bases
from tests.unit.documents import ROOT


@pytest.mark.parametrize("name", [*bases.NAMES, bases.RELMAN, HAPROXY])
@pytest.mark.parametrize("field", ["packages", "exclude", "options", "changes"])
def test_another_ingredient_is_another_base(name: str, field: str) -> None:
    """A changed package, exclusion, option or instruction never finds the old root file system."""
    base = asdict(bases.load(name))
    changed = {**base, field: [*base[field], "more"]}
    assert bases.Base(**changed).key != bases.Base(**base).key == bases.load(name).key


@pytest.mark.parametrize("name", ["database-schema", "money", "shop", "till"])
def test_a_sample_s_relman_yml_is_good(name: str) -> None:
    """`relman check` finds nothing in what readers copy from, nor a file that it names missing."""
    assert check_service(bases.APPS / name) == []


@pytest.mark.parametrize("name", ["relman.yml", "relman-library.yml"])
def test_relman_s_own_files_are_good(name: str) -> None:
    """So it is for what relman releases itself by."""
    assert check_service(ROOT / name) == []
