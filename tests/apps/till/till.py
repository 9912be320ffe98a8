from money import Money


def receipt(cents: list[int]) -> str:
    prices = [Money(c) for c in cents]
    total = sum(prices, Money(0))
    return "\n".join([*map(str, prices), f"total {total}"])
