"""Amounts of money that never lose a cent."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("money")
except PackageNotFoundError:  # in its own checkout
    __version__ = "unreleased"


@dataclass(frozen=True, order=True)
class Money:
    """An amount in whole cents."""

    cents: int

    def __add__(self, other: "Money") -> "Money":
        return Money(self.cents + other.cents)

    def __mul__(self, count: int) -> "Money":
        return Money(self.cents * count)

    def split(self, ways: int) -> list["Money"]:
        """Equal shares; the first ones get the cents that are left."""
        share, left = divmod(self.cents, ways)
        return [Money(share + (i < left)) for i in range(ways)]

    def __str__(self) -> str:
        sign, cents = "-" * (self.cents < 0), abs(self.cents)
        return f"{sign}{cents // 100}.{cents % 100:02}"
