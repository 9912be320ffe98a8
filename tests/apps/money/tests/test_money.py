import pytest
from money import Money


def test_arithmetic():
    assert Money(1999) * 3 + Money(1) == Money(5998)


@pytest.mark.parametrize("ways", [1, 3, 7])
def test_a_split_loses_nothing(ways):
    assert sum(share.cents for share in Money(1000).split(ways)) == 1000


@pytest.mark.parametrize(("cents", "text"), [(1999, "19.99"), (5, "0.05"), (-150, "-1.50")])
def test_as_text(cents, text):
    assert str(Money(cents)) == text
